/** Which engine job a run needs: Nomad has no conditional volumes, so each set of mounts is a job of its own. */

/** `vault-runner`; with mounts `vault-runner-gpg-ssh`: sorted and joined (formats.md, Dispatch). */
export function jobVariant(job: string, mounts: readonly string[]): string {
  return [job, ...mounts.toSorted()].join('-');
}

/** Every subset, smallest first, each sorted; the empty one too. */
export function mountSubsets(mounts: readonly string[]): readonly (readonly string[])[] {
  const sets = mounts
    .toSorted()
    .reduce<string[][]>((all, mount) => [...all, ...all.map((set) => [...set, mount])], [[]]);
  return sets.toSorted((one, two) => one.length - two.length || one.join().localeCompare(two.join()));
}
