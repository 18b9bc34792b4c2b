import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Forgejo, Gitea and GitHub, in this order; a Forgejo sends all three. All are the HMAC-SHA256 of the body in hex. */
const HEADERS = ['x-forgejo-signature', 'x-gitea-signature', 'x-hub-signature-256'] as const;
const FORM = /^(?:sha256=)?([0-9a-f]{64})$/i;

/** The signature that comes with a request, 32 bytes; null: none of a form that can be right. */
export function signatureOf(headers: IncomingHttpHeaders): Buffer | null {
  for (const name of HEADERS) {
    const hex = FORM.exec(String(headers[name] ?? ''))?.[1];
    if (hex !== undefined) return Buffer.from(hex, 'hex');
  }
  return null;
}

/** Whether whoever made the signature of these very bytes knows the secret. Takes the same time whatever was given. */
export function isSigned(body: Uint8Array, signature: Uint8Array, secret: string): boolean {
  const own = createHmac('sha256', secret).update(body).digest();
  return signature.length === own.length && timingSafeEqual(own, signature);
}
