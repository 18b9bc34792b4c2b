import type { Config } from '../config.ts';
import { notifierOf, webhookSecretOf } from '../wiring/notify.ts';
import { type Finding, finding, good, warning } from './doctor-finding.ts';

/** Whether people can be told of results, and webhooks be compared; nothing is sent. Nothing where neither is configured. */
export async function notifyFindings(config: Config): Promise<readonly Finding[]> {
  const notifier = notifierOf(config);
  return [...(notifier === null ? [] : [finding(await notifier.check())]), ...(await hookFindings(config))];
}

async function hookFindings(config: Config): Promise<readonly Finding[]> {
  const line = await webhookSecretOf(config)?.();
  if (line === undefined) return [];
  const { host, port } = config.http.listen ?? { host: '', port: 0 };
  if (line.ok && host !== '') return [good('hooks', `webhooks are taken at ${host}:${port}/hooks/push`)];
  if (line.ok) return [warning('hooks', null, 'there is a secret for webhooks, and listen of [http] is empty', LISTEN)];
  const message = `webhook_secret_file of [http] ${line.problem}: webhooks are not taken, only polls`;
  return [warning('hooks', null, message, FILE)];
}

const LISTEN = 'Set listen of [http], or remove webhook_secret_file.';
const FILE = 'Put the secret that the forge signs with into a file of mode 0600 that the dispatcher owns.';
