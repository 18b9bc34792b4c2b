import { expect, it } from 'vitest';
import { SecretText } from '../../../src/domain/secret-text.ts';
import { webhookSecretOf } from '../../../src/wiring/notify.ts';

async function secretGiven(text: string) {
  const http = { listen: null, token_file: null, webhook_secret_file: null };
  const line = await webhookSecretOf({ http, secrets: { 'http.webhook_secret': new SecretText(text) } })?.();
  return line?.ok ? line.secret.reveal() : line;
}

it('the secret of webhooks that the environment gives is trimmed like that of a file, and is none when it is empty (R18)', async () => {
  expect(await secretGiven(' hush-hush\n')).toBe('hush-hush');
  expect(await secretGiven(' \n')).toEqual({ ok: false, problem: 'is empty' });
});
