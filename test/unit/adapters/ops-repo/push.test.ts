import { describe, expect, it } from 'vitest';
import { classify, type FailureKind, GitFailure, toError } from '../../../../src/adapters/ops-repo/failure.ts';
import { classifyPush, type PushAnswer } from '../../../../src/adapters/ops-repo/push.ts';

const OID = '90f3f669ff7cbd6f0b4e10a9a5f5f79d63e96f2c';
const URL = 'http://127.0.0.1:3000/ops/ops.git';

function porcelain(flag: string, summary: string, ref = 'refs/heads/main'): string {
  return `To ${URL}\n${flag}\t${OID}:${ref}\t${summary}\nDone\n`;
}

const landed: PushAnswer = { kind: 'landed' };
const unknown: PushAnswer = { kind: 'unknown' };
const refused = (why: Extract<PushAnswer, { kind: 'refused' }>['why']): PushAnswer => ({ kind: 'refused', why });
const FAILED = `error: failed to push some refs to '${URL}'\n`;

/** As a forge answered; see the notes. */
const answers: readonly (readonly [string, number, string, string, PushAnswer])[] = [
  ['a new ref', 0, porcelain('*', '[new reference]'), '', landed],
  ['a fast-forward', 0, porcelain(' ', '68383cb..cc89b2d'), '', landed],
  ['a right lease', 0, porcelain('+', '90f3f66...c90aeaa (forced update)'), '', landed],
  ['the same commit again', 0, porcelain('=', '[up to date]'), '', landed],
  ['a stale lease', 1, porcelain('!', '[rejected] (stale info)'), FAILED, refused('moved')],
  ['a branch that moved', 1, porcelain('!', '[rejected] (non-fast-forward)'), FAILED, refused('moved')],
  ['a tip that we do not have', 1, porcelain('!', '[rejected] (fetch first)'), FAILED, refused('moved')],
  [
    'a race on the server',
    1,
    porcelain('!', '[remote rejected] (failed to update ref)'),
    `remote: error: cannot lock ref 'refs/heads/main': is at ${OID} but expected ${OID}        \n${FAILED}`,
    refused('moved'),
  ],
  [
    'a race on a path',
    1,
    porcelain('!', "[remote rejected] (cannot lock ref 'refs/heads/main')"),
    FAILED,
    refused('moved'),
  ],
  ['a race of making it', 1, porcelain('!', '[remote rejected] (reference already exists)'), FAILED, refused('moved')],
  [
    'a protected branch',
    1,
    porcelain('!', '[remote rejected] (pre-receive hook declined)'),
    `remote: \nremote: Forgejo: Not allowed to push to protected branch main        \n${FAILED}`,
    refused('forbidden'),
  ],
  ['a reserved ref', 1, porcelain('!', '[remote rejected] (hook declined)'), FAILED, refused('forbidden')],
  [
    'a server that takes no force',
    1,
    porcelain('!', '[remote rejected] (non-fast-forward)'),
    FAILED,
    refused('no-force'),
  ],
  ['a full disk', 1, porcelain('!', '[remote rejected] (unpacker error)'), FAILED, refused('trouble')],
  [
    'a server without a last word',
    1,
    porcelain('!', '[remote failure] (remote failed to report status)'),
    FAILED,
    unknown,
  ],
  ['a cut connection', 128, '', 'fatal: the remote end hung up unexpectedly\n', unknown],
  [
    'an error in the middle',
    1,
    '',
    'error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502\n',
    unknown,
  ],
  [
    'a server that is down',
    128,
    '',
    `fatal: unable to access '${URL}/': Failed to connect to 127.0.0.1 port 3999\n`,
    unknown,
  ],
  ['no status line at all', 0, `To ${URL}\nDone\n`, '', unknown],
  [
    'an archived repo or a lesser scope',
    128,
    '',
    `remote: This repo is archived.\nfatal: unable to access '${URL}/': The requested URL returned error: 403\n`,
    refused('forbidden'),
  ],
];

describe('the answer to a push', () => {
  it.each(answers)('%s (exit %i) is read as it is meant', (_, code, ...[stdout, stderr, expected]) => {
    expect(classifyPush({ code, stdout, stderr })).toEqual(expected);
  });

  const thrown: readonly (readonly [string, FailureKind])[] = [
    [`remote: Credentials are incorrect or have expired.\nfatal: Authentication failed for '${URL}/'\n`, 'denied'],
    ["fatal: could not read Username for 'http://127.0.0.1:3000': terminal prompts disabled\n", 'denied'],
    [`remote: Repository not found\nfatal: repository '${URL}/' not found\n`, 'not-found'],
    ['Host key verification failed.\nfatal: Could not read from remote repository.\n', 'host-key'],
  ];

  it.each(thrown)('%j certainly did nothing and is thrown', (stderr, kind) => {
    expect(() => classifyPush({ code: 128, stdout: '', stderr })).toThrow(expect.objectContaining({ kind }));
  });

  it('that was refused because our own clone could not be read is of a damaged clone', () => {
    const stdout = `To ${URL}\n!\t${OID}:refs/heads/main\t[remote rejected] (unpacker error)\nDone\n`;
    const stderr =
      'fatal: loose object 1234 (stored in ./objects/12/34) is corrupt\nerror: remote unpack failed: eof\n';
    const damaged = expect.objectContaining({ kind: 'damaged' });
    expect(() => classifyPush({ code: 1, stdout, stderr })).toThrow(damaged);
  });

  it('is not told by a path that looks like a status line', () => {
    const stdout = `To ${URL}\n!\t${OID}:refs/heads/main\t[rejected] (stale info)\n \t${OID}:x\tfake\nDone\n`;
    expect(classifyPush({ code: 1, stdout, stderr: '' })).toEqual(refused('moved'));
  });
});

describe('what a failed git says', () => {
  const local: readonly (readonly [string, FailureKind])[] = [
    ["fatal: not a git repository: '/x/repo.git'", 'damaged'],
    ['error: object file ./objects/12/34 is empty', 'damaged'],
    ['fatal: loose object 1234 (stored in ./objects/12/34) is corrupt', 'damaged'],
    ['fatal: bad object 1234', 'damaged'],
    ['error: inflate: data stream error (incorrect header check)', 'damaged'],
    ["fatal: cannot lock ref 'refs/edge/tip': Unable to create '/x/refs/edge/tip.lock': File exists.", 'damaged'],
    ['fatal: bad config line 2 in file ./config', 'damaged'],
    ['fatal: Not a valid object name 1234', 'damaged'],
    ['error: Could not read 1234', 'damaged'],
    ['fatal: Not a valid commit: 1234', 'damaged'],
    ["fatal: Can't load tree 1234", 'damaged'],
    ['error: non-monotonic index ./objects/pack/pack-1234.idx', 'damaged'],
    ['error: remote unpack failed: unable to read tree 1234', 'other'],
    ['fatal: write error: No space left on device', 'full'],
    ["fatal: sha1 file './objects/pack/tmp_pack_1234' write error. Out of diskspace", 'full'],
    ['', 'other'],
  ];

  it.each(local)('%j of our clone alone is %s', (stderr, kind) => {
    expect(classify(stderr, false)).toBe(kind);
  });

  const remote: readonly (readonly [string, FailureKind])[] = [
    ['remote: fatal: bad object 1234\nfatal: the remote end hung up unexpectedly', 'unreachable'],
    ['remote: error: loose object 1234 is corrupt\nfatal: early EOF', 'unreachable'],
    ['fatal: remote error: upload-pack: not our ref 1234', 'unreachable'],
    ['kex_exchange: reset\nfatal: Could not read from remote repository.', 'unreachable'],
    ["fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate", 'host-key'],
    ["fatal: transport 'ext' not allowed", 'denied'],
    ["fatal: couldn't find remote ref refs/heads/main", 'not-found'],
    [
      "fatal: '/x/nowhere' does not appear to be a git repository\nfatal: Could not read from remote repository.",
      'not-found',
    ],
    ['fatal: loose object 1234 (stored in ./objects/12/34) is corrupt', 'damaged'],
    ["fatal: unable to access 'https://x/': The requested URL returned error: 503", 'unreachable'],
    ['something never seen', 'unreachable'],
  ];

  it.each(remote)('%j while it talks to a server is %s', (stderr, kind) => {
    expect(classify(stderr, true)).toBe(kind);
  });

  it.each([
    ['denied', 'StalledError', 'ERR_GIT_DENIED'],
    ['forbidden', 'StalledError', 'ERR_GIT_DENIED'],
    ['not-found', 'StalledError', 'ERR_GIT_NOT_FOUND'],
    ['host-key', 'StalledError', 'ERR_GIT_HOST_KEY'],
    ['unreachable', 'TransientError', 'ERR_GIT_UNAVAILABLE'],
    ['timeout', 'TransientError', 'ERR_GIT_UNAVAILABLE'],
    ['other', 'TransientError', 'ERR_GIT_UNAVAILABLE'],
    ['damaged', 'TransientError', 'ERR_CACHE_DAMAGED'],
  ] as const)('%s becomes a %s with code %s that names the place', (kind, name, code) => {
    const failure = new GitFailure(kind, 'git fetch (exit 128)');
    const error = toError(failure, 'https://forge.example/ops.git');
    expect(error).toMatchObject({ name, code, cause: failure });
    expect(error.message).toMatch(/^https:\/\/forge\.example\/ops\.git: git fetch \(exit 128\): \w/);
  });
});
