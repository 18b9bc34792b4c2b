import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** A certificate for 127.0.0.1 that is its own CA, and its key, both PEM. Server and client may both show it. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Makes a new pair, good from a day ago for two days: no key has to lie in the repo. */
export function makeTls(commonName = 'test'): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const name = sequence(set(sequence(oid('550403'), der(0x0c, Buffer.from(commonName)))));
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    ECDSA_WITH_SHA256,
    name,
    sequence(time(-1), time(1)),
    name,
    spki,
    der(0xa3, sequence(...extensionsOf(spki))),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, ECDSA_WITH_SHA256, bitString(signature));
  return {
    cert: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** Key identifier, address, and that it may sign itself (RFC 5280). */
function extensionsOf(spki: Buffer): readonly Buffer[] {
  const identifier = createHash('sha1').update(spki).digest();
  const address = sequence(der(0x87, Buffer.from([127, 0, 0, 1])));
  const isCa = sequence(der(0x01, Buffer.from([0xff])));
  return [
    sequence(oid('551d0e'), der(0x04, der(0x04, identifier))),
    sequence(oid('551d11'), der(0x04, address)),
    sequence(oid('551d13'), der(0x01, Buffer.from([0xff])), der(0x04, isCa)),
  ];
}

// As much of DER (X.690) as a certificate needs

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const long = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...(length < 0x80 ? [length] : long)]), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, Buffer.concat(parts));
const set = (...parts: readonly Buffer[]): Buffer => der(0x31, Buffer.concat(parts));
const integer = (bytes: Buffer): Buffer => der(0x02, bytes);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const bitString = (bytes: Buffer): Buffer => der(0x03, Buffer.concat([Buffer.from([0]), bytes]));
const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'));

function time(days: number): Buffer {
  const at = new Date(Date.now() + days * 86_400_000).toISOString();
  return der(0x18, Buffer.from(`${at.slice(0, 19).replaceAll(/[-:T]/g, '')}Z`));
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
