import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readArguments } from '../../../src/runner/arguments.ts';

const NOTHING = {
  directory: null,
  payload: null,
  artifacts: null,
  runAs: null,
  vault: null,
  vaultNamespace: '',
  botToken: null,
  agentData: null,
};

describe('the command line of the runner', () => {
  it.each([
    [[], NOTHING],
    [['--payload', '/p'], { ...NOTHING, payload: '/p' }],
    [['--run-dir', '/r'], { ...NOTHING, directory: '/r', payload: '/r/payload' }],
    [
      ['--artifacts', 'out', '--run-as', '65534:65533', '--payload', '/p'],
      { ...NOTHING, payload: '/p', artifacts: path.resolve('out'), runAs: { uid: 65_534, gid: 65_533 } },
    ],
    [['--run-as=1:2'], { ...NOTHING, runAs: { uid: 1, gid: 2 } }],
    [['--vault', 'https://vault.example'], { ...NOTHING, vault: 'https://vault.example' }],
    [['--bot-token', '/secrets/bot'], { ...NOTHING, botToken: '/secrets/bot' }],
    [
      ['--agent-data', 'data', '--bot-token', 'bot'],
      { ...NOTHING, agentData: path.resolve('data'), botToken: path.resolve('bot') },
    ],
  ])('%j is understood', (args, invocation) => {
    expect(readArguments(args)).toEqual(invocation);
  });

  it.each([
    [['--run-as', 'nobody']],
    [['--run-as', '1']],
    [['--run-as', '65534:0']],
    [['--run-as', '1:2:3']],
    [['--run-as', '-1:1']],
    [['--run-as', '']],
    [['--run-as']],
    [['--run-dir', '/r', '--payload', '/p']],
    [['--run-dir', '/r', '--run-as', '1:1']],
    [['--run-dir', '/r', '--bot-token', '/b']],
    [['--run-dir', '/r', '--agent-data', '/d']],
    [['--bot-token', '']],
    [['--agent-data=']],
    [['--bot-token']],
    [['--verbose']],
    [['file']],
  ])('%j is refused', (args) => {
    expect(readArguments(args)).toBeNull();
  });
});
