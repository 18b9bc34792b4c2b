import { readFile } from 'node:fs/promises';
import { publicKeyOf } from '../adapters/ops-repo/signing-key.ts';
import type { Config } from '../config.ts';
import { readSignerLine } from '../domain/signer-line.ts';
import { StalledError } from '../errors.ts';
import type { AllowedSigner, OpsRepo } from '../ports/ops-repo.ts';
import { createOwnResults, type OwnResults } from '../story/own-results.ts';
import { trustedCommit } from './approval.ts';

/**
 * `looksOnly`: of our own key the public half is enough, and where that can't be had either, every question about a
 * result is answered with why. Errors: those of `resultKeys`.
 */
export async function ownResultsOf(config: Config, opsRepo: OpsRepo, looksOnly: boolean): Promise<OwnResults> {
  try {
    return createOwnResults({
      opsRepo,
      keys: await resultKeys(config, looksOnly),
      trustedCommit: trustedCommit(config),
      folders: [config.ops_repo.actions_dir, config.ops_repo.sidecars_dir],
    });
  } catch (error) {
    if (!looksOnly || !(error instanceof StalledError)) throw error;
    const fail = () => Promise.reject(error);
    return { areSigned: true, judge: fail, judgeNews: fail, onForeign: () => undefined };
  }
}

/**
 * Keys whose signature makes a result ours; none: results are not signed. `looksOnly`: where the private key can't be
 * read, the `.pub` file beside it will do. Errors: those of `publicKeyOf`.
 */
export async function resultKeys({ ops_repo }: Config, looksOnly: boolean): Promise<readonly AllowedSigner[]> {
  const { signing_key_file: file, result_keys: lines } = ops_repo;
  const own = file === null ? [] : [{ principal: OWN, key: await (looksOnly ? publicHalf(file) : publicKeyOf(file)) }];
  const others = lines.map(readSignerLine).flatMap((read, index) => {
    return read.ok ? [{ principal: `result-key-${index}`, key: read.signer.key }] : [];
  });
  return [...own, ...others];
}

/** Of the key that results are signed with, as it is now; undefined: none are. Errors: those of `publicKeyOf`. */
export async function signingPublicKey({ ops_repo }: Config, looksOnly: boolean): Promise<string | undefined> {
  return looksOnly || ops_repo.signing_key_file === null ? undefined : publicKeyOf(ops_repo.signing_key_file);
}

const OWN = 'signing-key';

async function publicHalf(file: string): Promise<string> {
  try {
    return await publicKeyOf(file);
  } catch (error) {
    if (!(error instanceof StalledError)) throw error;
    const text = await readFile(`${file}.pub`, 'utf8').catch(() => '');
    const read = readSignerLine(`${OWN} ${text.trim()}`);
    if (read.ok) return read.signer.key;
    throw error;
  }
}
