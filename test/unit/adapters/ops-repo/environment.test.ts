import { describe, expect, it } from 'vitest';
import {
  askpassScript,
  httpOrigin,
  networkEnvironment,
  type Remote,
  shownUrl,
} from '../../../../src/adapters/ops-repo/environment.ts';
import { groupMessage } from '../../../../src/adapters/ops-repo/publish.ts';

function remote(url: string, changes: Partial<Remote> = {}): Remote {
  return { url, username: 'edge-bot', tokenFile: '/s/token', sshKeyFile: null, knownHostsFile: null, ...changes };
}

const environment = (url: string) => networkEnvironment({}, { repo: '/c/repo.git', tools: '/c/tools' }, remote(url));

describe('the protocol that git may use', () => {
  it.each([
    ['https://forge.example/ops.git', 'https'],
    ['HTTPS://forge.example/ops.git', 'https'],
    ['http://127.0.0.1:3000/ops.git', 'http'],
    ['http://localhost/ops.git', 'http'],
    ['ssh://git@forge.example/ops.git', 'ssh'],
    ['git@forge.example:ops/ops.git', 'ssh'],
    ['/srv/ops.git', 'file'],
    ['./ops.git', 'file'],
    ['file:///srv/ops.git', 'file'],
    ['http://forge.example/ops.git', 'none'],
    ['http://127.0.0.1.evil.example/ops.git', 'none'],
    ['ext::sh -c id', 'none'],
    ['git://forge.example/ops.git', 'none'],
    ['ftp://forge.example/ops.git', 'none'],
  ])('to %s is %s alone', (url, protocol) => {
    expect(environment(url)['GIT_ALLOW_PROTOCOL']).toBe(protocol);
  });
});

describe('the askpass script', () => {
  it('prints the name, and the file of the token, for the host of the address only', () => {
    const script = askpassScript(remote('https://forge.example:8443/ops/ops.git'));
    expect(script).toContain("'Username for '\\''https://forge.example:8443'\\'': ') printf '%s\\n' 'edge-bot'");
    expect(script).toContain("'Password for '\\''https://edge-bot@forge.example:8443'\\'': '");
    expect(script).toContain("exec cat '/s/token'");
    expect(script).toContain('*) exit 1');
  });

  it.each(['ssh://git@forge.example/x', '/srv/x.git', 'http://forge.example/x.git'])(
    'has nothing to say for %s',
    (url) => {
      expect(askpassScript(remote(url))).toBe('#!/bin/sh\nexit 1\n');
      expect(httpOrigin(url)).toBeNull();
    },
  );

  it('quotes what could be taken for shell', () => {
    const script = askpassScript(remote('https://forge.example/x', { username: "o'neil $(id)", tokenFile: "/s/it's" }));
    expect(script).toContain("'o'\\''neil $(id)'");
    expect(script).toContain("cat '/s/it'\\''s'");
  });
});

describe('the command of ssh', () => {
  it('R14: has no key and knows no host unless they are given', () => {
    const command = environment('git@forge.example:ops.git')['GIT_SSH_COMMAND'];
    expect(command).toContain("'IdentityFile=none'");
    expect(command).toContain("'UserKnownHostsFile=/dev/null'");
    expect(command).toContain("'StrictHostKeyChecking=yes'");
  });
});

describe('an address as it is shown', () => {
  it.each([
    ['https://user:secret@forge.example/x?token=abc#f', 'https://forge.example/x'],
    ['https://a@b:secret@forge.example/x', 'https://forge.example/x'],
    ['/srv/ops.git', '/srv/ops.git'],
  ])('%s is %s', (url, shown) => {
    expect(shownUrl(url)).toBe(shown);
  });
});

describe('the message of a commit of results', () => {
  it('is that of the one result, or names all of them and each trailer once', () => {
    expect(groupMessage(['a: failed\n\nBody.\n\nBy: x\n\n'])).toBe('a: failed\n\nBody.\n\nBy: x\n');
    const two = groupMessage(['a: failed\n\nBy: x\nFor: a', 'b: ok\n\nno: trailer here\nbut text\n', 'c\n\nBy: x']);
    expect(two).toBe('3 results\n\n- a: failed\n- b: ok\n- c\n\nBy: x\nFor: a\n');
  });

  it('stays readable for a thousand results', () => {
    const lines = groupMessage(Array.from({ length: 1_000 }, (_, n) => `r${n}: ok`)).split('\n');
    expect(lines[0]).toBe('1000 results');
    expect(lines.at(-2)).toBe('- and 800 more');
    expect(lines.length).toBeLessThan(210);
  });
});
