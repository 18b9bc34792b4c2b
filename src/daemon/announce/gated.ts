import type { AnnouncedFile } from '../../domain/announcement.ts';
import { formulaDifference, policyDifference } from '../../domain/gated-difference.ts';
import type { Policy } from '../../domain/policy.ts';
import type { StoryContext } from '../../story/context.ts';
import { createGatedFiles, formulaNameOf, type ReadFile } from '../../story/gated-files.ts';
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
  const kind = kindOf(path, policyFile, context);
  const none = { path, kind, message: null, differences: [] };
  if (entry === null) return { ...none, standing: 'deleted' };
  const { inForce } = context.world();
  const read = await readAs(kind, entry, inForce, context);
  if (!read.ok) return { ...none, standing: 'invalid', message: read.problem.message };
  const { blob, differences } = read.value;
  return { ...none, ...standingOf(file, isMerged, blob, inForce), differences };
}

interface Beside {
  /** What is in force in its place. */
  readonly blob: string | undefined;
  readonly differences: AnnouncedFile['differences'];
}

async function readAs(
  kind: AnnouncedFile['kind'],
  entry: NonNullable<File['entry']>,
  inForce: InForce,
  { opsRepo }: StoryContext,
): Promise<ReadFile<Beside>> {
  const files = createGatedFiles(opsRepo);
  if (kind === 'policy') {
    const known = inForce.policy;
    const compare = (policy: Policy) => policyDifference(known?.policy ?? null, policy);
    return beside(known?.blob, await files.policy(entry), compare);
  }
  if (kind === 'project file')
    return beside(inForce.projects.get(entry.path)?.blob, await files.project(entry), () => []);
  const known = inForce.formulas.get(formulaNameOf(entry.path));
  return beside(known?.blob, await files.formula(entry), (formula) =>
    formulaDifference(known?.formula ?? null, formula),
  );
}

function beside<T>(
  blob: string | undefined,
  read: ReadFile<T>,
  compare: (value: T) => Beside['differences'],
): ReadFile<Beside> {
  return read.ok ? { ok: true, value: { blob, differences: compare(read.value) } } : read;
}

function kindOf(path: string, policyFile: string, { settings }: StoryContext): AnnouncedFile['kind'] {
  if (path === policyFile) return 'policy';
  return settings.projectFiles.includes(path) ? 'project file' : 'formula';
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
