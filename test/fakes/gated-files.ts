import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';

/** Texts of policies and formulas, as tests need them. */

export interface PolicyPerson {
  readonly name: string;
  readonly login?: string;
  /** `ssh-ed25519 AAAA…`; with a principal before it, or else that of `<name>@example.org`. */
  readonly keys?: readonly string[];
}

/** A public key that looks right; nobody has the private one. */
export function publicKey(seed: string): string {
  const field = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  const bytes = [Buffer.from('ssh-ed25519'), createHash('sha256').update(seed).digest()].map(field);
  return `ssh-ed25519 ${Buffer.concat(bytes).toString('base64')}`;
}

export function policyText(people: readonly PolicyPerson[], tiers: Readonly<Record<string, string>> = {}): string {
  const entries = people.map(({ name, login, keys = [] }, index) => {
    const lines = keys.map((key) => (key.startsWith('ssh-') ? `${name.toLowerCase()}@example.org ${key}` : key));
    const forge = `forge = { url = "https://forge.example", id = ${index + 1}, login = "${login ?? name.toLowerCase()}" }\n`;
    return `[[approvers]]\nname = "${name}"\n${forge}keys = ${JSON.stringify(lines)}\n`;
  });
  const table = Object.entries(tiers).map(([formula, tier]) => `${formula} = "${tier}"\n`);
  return `[tiers]\n${table.join('')}\n${entries.join('\n')}`;
}

export function formulaText(name: string, description = 'a chore'): string {
  return `name = "${name}"\ndescription = "${description}"\ncommand = ["true"]\n`;
}
