import path from 'node:path';
import { AcceptedTip } from '../adapters/ops-repo/accepted-tip.ts';
import { stateLayout } from '../adapters/state-dir.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, printJson, printLine } from './io.ts';
import { configOf, observe, requireOwnStateDir } from './observe.ts';

/**
 * Makes the present tip the accepted one. A daemon on this state_dir may run meanwhile: it reads the file at every look,
 * and writes it only after a look at a branch that goes on from it, so the next poll goes on. Safe to repeat.
 */
export async function acceptHistory(io: Io, options: GlobalOptions): Promise<ExitCode> {
  const { root } = stateLayout(configOf(io, options).dispatcher.state_dir);
  requireOwnStateDir(root);
  return observe(io, options, async (observed) => {
    const { tip: after, descends } = observed.world().tips;
    const accepted = new AcceptedTip(path.join(root, 'accepted-tip'));
    const before = await accepted.read();
    if (!descends) await accepted.write(after);
    if (options.json === true) printJson(io, { before, after, accepted: !descends });
    else if (descends) printLine(io, `nothing to accept: the branch goes on from what was seen last, to ${after}`);
    else {
      printLine(io, `accepted the rewritten branch`);
      printLine(io, `  seen last  ${before}`);
      printLine(io, `  from now   ${after}`);
      if (observed.daemon !== null) printLine(io, 'the daemon that runs goes on at its next look');
    }
    return EXIT.ok;
  });
}
