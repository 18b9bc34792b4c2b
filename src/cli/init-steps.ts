import path from 'node:path';
import type { OpsRepoPaths } from './ops-repo-files.ts';
import type { OwnIdentity } from './own-key.ts';
import { shellWord } from './shell-word.ts';

/** One thing to do, and the commands that do it. */
export interface Step {
  readonly text: string;
  readonly commands: readonly string[];
}

export interface Situation {
  readonly root: string;
  readonly cwd: string;
  readonly paths: OpsRepoPaths;
  readonly configFile: string;
  readonly branch: string;
  readonly url: string;
  readonly remoteName: string;
  readonly remote: 'configured' | 'unusable' | 'none';
  readonly identity: OwnIdentity | null;
  /** Files that `init` wrote. */
  readonly written: readonly string[];
  /** Lines that .gitignore should have and has not. */
  readonly ignored: readonly string[];
}

/** From the files to a first result. */
export function initSteps(situation: Situation): readonly Step[] {
  return [
    ...enterStep(situation),
    ...configStep(situation),
    ...ignoreStep(situation),
    approverStep(situation),
    commitStep(situation),
    pushStep(situation),
    {
      text: 'Say which commit is trusted to begin with. Later changes of policy and formulas need approval:',
      commands: [`edge-dispatcher init --trust HEAD${configOption(situation)}`],
    },
    { text: 'Start the dispatcher:', commands: [`edge-dispatcher run${configOption(situation)}`] },
    ...actionStep(situation),
  ];
}

function enterStep({ root, cwd }: Situation): Step[] {
  if (root === cwd) return [];
  return [{ text: 'Go to the ops repo:', commands: [`cd ${shellWord(path.relative(cwd, root) || root)}`] }];
}

/** Commands are given from the root of the repo, where dispatcher.toml is found by itself. */
function configOption({ root, configFile }: Situation): string {
  return configFile === path.join(root, 'dispatcher.toml') ? '' : ` --config ${shellWord(configFile)}`;
}

function configStep({ remote, written, root, configFile, url }: Situation): Step[] {
  if (!written.includes(path.relative(root, configFile))) {
    return [
      { text: `Compare url and branch of [ops_repo] in ${configFile}: it was there, and is as it was.`, commands: [] },
    ];
  }
  if (remote === 'unusable') {
    const text =
      'Set url of [ops_repo] in dispatcher.toml: the remote of this repo is nothing that the dispatcher takes (https, ssh or a path).';
    return [{ text, commands: [] }];
  }
  const isRemote = /^https:|^ssh:|^[^/]+:/.test(url);
  return isRemote && remote === 'configured'
    ? [
        {
          text: 'Give the dispatcher a credential that may push: see the lines below url in dispatcher.toml.',
          commands: [],
        },
      ]
    : [];
}

function ignoreStep({ ignored }: Situation): Step[] {
  if (ignored.length === 0) return [];
  const text = 'Keep what is the operator’s out of the repo: whoever may push does not decide which rules count.';
  return [{ text, commands: [`printf '%s\\n' ${ignored.map(shellWord).join(' ')} >> .gitignore`] }];
}

function approverStep({ paths, identity, written }: Situation): Step {
  const { policyFile } = paths;
  const look = { commands: [`\${EDITOR:-vi} ${shellWord(policyFile)}`] };
  if (!written.includes(policyFile)) return { text: `Look who may approve, in ${policyFile}: it was there.`, ...look };
  if (identity?.key == null) {
    const text = `Write who may approve into ${policyFile}; no SSH signing key of yours was found. To make one and sign with it:`;
    return {
      text,
      commands: [
        'ssh-keygen -t ed25519 -f ~/.ssh/id_approve',
        'git config --global gpg.format ssh',
        'git config --global user.signingkey ~/.ssh/id_approve.pub',
        ...look.commands,
      ],
    };
  }
  const who = `${identity.name} with the key of ${identity.source}`;
  if (identity.signs)
    return { text: `Check who may approve: so far ${who}. Nobody approves what they wrote themselves.`, ...look };
  return { text: `Decide who may approve: ${policyFile} suggests, in comments, ${who}.`, ...look };
}

function commitStep({ paths, written }: Situation): Step {
  const files = written.includes('.gitignore') ? ['.gitignore'] : [];
  const folders = [paths.policyFile, paths.formulasDir, paths.actionsDir];
  const tops = folders.every((folder) => folder.startsWith('vault/')) ? ['vault'] : folders;
  return {
    text: 'Check and commit:',
    commands: [
      'edge-dispatcher validate',
      `git add ${[...files, ...tops].map(shellWord).join(' ')}`,
      'git commit -m "Ops repo"',
    ],
  };
}

function pushStep({ remote, remoteName, url, branch }: Situation): Step {
  const push = `git push -u ${shellWord(remoteName)} ${shellWord(branch)}`;
  if (remote !== 'none') return { text: 'Push it, because the dispatcher sees only what is pushed:', commands: [push] };
  return {
    text: 'Push it: to a bare repo beside it (or to your forge; then change url in dispatcher.toml):',
    commands: [
      `git init --quiet --bare --initial-branch=${shellWord(branch)} ${shellWord(url)}`,
      `git remote add origin ${shellWord(url)}`,
      push,
    ],
  };
}

function actionStep({ root, paths, written }: Situation): Step[] {
  if (!written.includes(`${paths.formulasDir}/hello.toml`)) return [];
  const file = shellWord(`${paths.actionsDir}/hello-1.toml`);
  return [
    {
      text: 'In another terminal, ask for something:',
      commands: [
        `cd ${shellWord(root)}`,
        `printf '%s\\n' 'id = "hello-1"' 'formula = "hello"' 'context = "My first action"' 'secrets = []' > ${file}`,
        `git add ${file} && git commit -m "Ask for hello-1" && git push`,
        'sleep 10; git pull',
        `cat ${shellWord(`${paths.actionsDir}/hello-1.result.json`)}`,
      ],
    },
  ];
}
