import { systemClock } from '../adapters/clock.ts';
import { createNotifier } from '../adapters/notifier.ts';
import { readSecretLine, type SecretLine } from '../adapters/secret-file.ts';
import type { Config } from '../config.ts';
import { createNotifications, type Notifications, type NotifyDeps } from '../daemon/notify.ts';
import { SecretText } from '../domain/secret-text.ts';
import type { Notifier } from '../ports/notifier.ts';

/** `[notify]`; null: nobody is told. */
export function notifierOf({ notify, secrets }: Config): Notifier | null {
  const given = secrets['notify.url'];
  if (given !== undefined) return createNotifier({ address: given }, systemClock);
  return notify.url_file === null ? null : createNotifier({ address: { file: notify.url_file } }, systemClock);
}

export function notificationsOf(config: Config, tools: Pick<NotifyDeps, 'log' | 'count'>): Notifications | null {
  const notifier = notifierOf(config);
  if (notifier === null) return null;
  const { dispatcher, ops_repo } = config;
  return createNotifications({
    ...tools,
    notifier,
    clock: systemClock,
    dispatcher: dispatcher.name,
    sidecarsDir: ops_repo.sidecars_dir,
  });
}

/** What webhooks are signed with, read anew at each call; null: none is configured, and there is no `/hooks/push`. */
export function webhookSecretOf({
  http,
  secrets,
}: Pick<Config, 'http' | 'secrets'>): (() => Promise<SecretLine>) | null {
  const given = secrets['http.webhook_secret'];
  const file = http.webhook_secret_file;
  if (given !== undefined) return () => Promise.resolve(secretLine(given.reveal().trim()));
  return file === null ? null : () => readSecretLine(file);
}

/** As `readSecretLine`: with an empty one anybody could sign. */
function secretLine(text: string): SecretLine {
  return text === '' ? { ok: false, problem: 'is empty' } : { ok: true, secret: new SecretText(text) };
}
