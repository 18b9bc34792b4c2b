import type { AnnouncedFile } from '../../domain/announcement.ts';
import { formulaDifference, policyDifference } from '../../domain/gated-difference.ts';
import type { StoryContext } from '../../story/context.ts';
import { createGatedFiles, formulaNameOf } from '../../story/gated-files.ts';
import type { InForce } from '../../story/in-force.ts';
import type { Touched } from './touched.ts';

type File = Touched['gated'][number];

/** A gated file as a change would set it, or did set it. Errors: those of the ops repo. */
export async function announcedFile(
  file: File,
  isMerged: boolean,
  policyFile: string,
  context: StoryContext,
): Promise<AnnouncedFile> {
  const { path, entry } = file;
  const kind = path === policyFile ? ('policy' as const) : ('formula' as const);
  const none = { path, kind, message: null, differences: [] };
  if (entry === null) return { ...none, standing: 'deleted' };
  const { inForce } = context.world();
  const files = createGatedFiles(context.opsRepo);
  if (kind === 'policy') {
    const read = await files.policy(entry);
    if (!read.ok) return { ...none, standing: 'invalid', message: read.problem.message };
    const differences = policyDifference(inForce.policy?.policy ?? null, read.value);
    return { ...none, ...standingOf(file, isMerged, inForce.policy?.blob, inForce), differences };
  }
  const read = await files.formula(entry);
  if (!read.ok) return { ...none, standing: 'invalid', message: read.problem.message };
  const known = inForce.formulas.get(formulaNameOf(path));
  const differences = formulaDifference(known?.formula ?? null, read.value);
  return { ...none, ...standingOf(file, isMerged, known?.blob, inForce), differences };
}

function standingOf(
  { path, entry }: File,
  isMerged: boolean,
  inForceBlob: string | undefined,
  { pending }: InForce,
): Pick<AnnouncedFile, 'standing' | 'message'> {
  if (!isMerged) return { standing: 'proposed', message: null };
  if (inForceBlob === entry?.oid) return { standing: 'in force', message: null };
  const held = pending.find((edit) => edit.path === path);
  if (held === undefined || held.blob !== entry?.oid) return { standing: 'replaced', message: null };
  return { standing: 'waiting', message: held.reason.message };
}
