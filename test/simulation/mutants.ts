/** A mistake that somebody could make: a piece of the program as it is, and what it would be instead. */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Each is found by the simulation within ten thousand seeds (`npm run simulate -- --mutants`). */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'a claim takes an entry that is there',
    file: 'src/adapters/ops-repo/journal-draft.ts',
    find: "if (this.#paths.has(entryPath(entry.id)) && !makesRoom) return 'taken';",
    replace: '',
  },
  {
    name: 'a claim does not look at its group',
    file: 'src/adapters/ops-repo/journal-draft.ts',
    find: "if (this.#isFull(entry, held, terms)) return 'group-full';",
    replace: '',
  },
  {
    name: 'an attempt that the engine does not know counts as not started',
    file: 'src/story/dispatch-run.ts',
    find: "proofs.has(record) ? 'consumed' : await context.access.consume(payload.access)",
    replace: "(('consumed') as string)",
  },
  {
    name: 'a used wrapper counts as consumed by ourselves',
    file: 'src/story/dispatch-run.ts',
    find: "if (consumption === 'consumed') {",
    replace: "if (consumption === 'consumed' || consumption === 'used') {",
  },
  {
    name: 'a wish to stop overrules how the run ended',
    file: 'src/story/outcome.ts',
    find: 'if (stop !== null && exitCode !== 0) return { ...stopped(stop), ...exit };',
    replace: 'if (stop !== null) return { ...stopped(stop), ...exit };',
  },
  {
    name: 'an outage before the claim refuses the action',
    file: 'src/story/no-or-not-yet.ts',
    find: "if (error instanceof RefusedError) return { kind: 'ended'",
    replace: "if (error instanceof RefusedError || error instanceof TransientError) return { kind: 'ended'",
  },
  {
    name: 'a result that lies there is written over',
    file: 'src/adapters/ops-repo/publish.ts',
    find: "return { kind: 'conflict', blob: entry.oid };",
    replace: "missing.set(one.file.path, one); return { kind: 'landed', commit: tip };",
  },
  {
    name: 'access is not revoked at the end',
    file: 'src/story/end-attempt.ts',
    find: 'if (record.grant.revoked_at !== null) return record;',
    replace: 'if (record.grant.revoked_at !== null || Boolean(way)) return record;',
  },
  {
    name: 'one more run than there are slots',
    file: 'src/daemon/slots.ts',
    find: 'before?.live !== true && room.live >= inFlight',
    replace: 'before?.live !== true && room.live > inFlight',
  },
  {
    name: 'the attempts of other dispatchers are resumed',
    file: 'src/daemon/resume.ts',
    find: 'entry.dispatcher === dispatcher && entry.instance === instance && isLeft(entry)',
    replace: '(entry.dispatcher !== dispatcher || entry.instance === instance) && isLeft(entry)',
  },
  {
    name: 'a start does not adopt what its name held',
    file: 'src/daemon/daemon.ts',
    find: 'await parts.journal.adopt(ownHolder(parts));',
    replace: '',
  },
  {
    name: 'a cancel before the dispatch is believed without a proof',
    file: 'src/story/run-action.ts',
    find: "if (proven.kind !== 'unstarted') return proven;",
    replace: '',
  },
  {
    name: 'the tombstone is written before the result',
    file: 'src/story/end-attempt.ts',
    find: "  const ending = await lasting(entry.id, 'recording', publish, { ...way, holdsSlot: held });",
    replace:
      "  await buryAttempt(ended.record, held, way);\n  const ending = await lasting(entry.id, 'recording', publish, { ...way, holdsSlot: held });",
  },
  {
    name: 'the note of an attempt goes before its tombstone is there',
    file: 'src/story/end-attempt.ts',
    find: '    await context.journal.end(tombstone);\n    await forgetRun(record, context);',
    replace: '    await forgetRun(record, context);\n    await context.journal.end(tombstone);',
  },
  {
    name: 'a run that was asked to stop counts as stopped',
    file: 'src/adapters/engines/nomad/status.ts',
    find: 'if (!TERMINAL.has(first.ClientStatus)) return null;',
    replace:
      "if (!TERMINAL.has(first.ClientStatus)) return first.DesiredStatus === 'stop' ? { kind: 'exited', exitCode: 143, signal: null, oom: false, startedAt: null, finishedAt: null } : null;",
  },
  {
    name: 'a run that is not there is dispatched for ever',
    file: 'src/story/dispatch-run.ts',
    find: '  const request = requestOf(record);\n',
    replace:
      "  if (record.request === null) throw new TransientError('ERR_ENGINE_UNAVAILABLE', 'not there');\n  const request = requestOf(record);\n",
  },
  {
    name: 'a breaker never closes again',
    file: 'src/daemon/breaker.ts',
    find: 'if (this.#outage !== null) this.#end(this.#outage);',
    replace: 'if (this.#outage !== null) void 0;',
  },
  {
    name: 'one attempt more than the action allows',
    file: 'src/story/retry.ts',
    find: 'if (made >= retry.attempts) return null;',
    replace: 'if (made > retry.attempts) return null;',
  },
  {
    name: 'a peer is silent at once',
    file: 'src/domain/lease.ts',
    find: 'export const SILENCE_MS = 6 * RENEW_MS;',
    replace: 'export const SILENCE_MS = 0 * RENEW_MS;',
  },
  {
    name: 'what a journal has lost is not put back',
    file: 'src/adapters/ops-repo/journal-losses.ts',
    find: 'if (!isOld && tombstones.length === 0) return null;',
    replace: 'if (isOld || !isOld) return null;',
  },
  {
    name: 'a foreign run under its token proves that an attempt never began',
    file: 'src/story/dispatch-run.ts',
    find: "return { kind: 'unknown', message: error.message };",
    replace: 'return proveUnstarted(record, error.message, context);',
  },
];
