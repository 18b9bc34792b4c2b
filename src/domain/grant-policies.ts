/** Policy that every run's token has: look up and revoke itself (design.md, promise 2). */
export const BASE_POLICY = 'edge-run';

/** The policy that lets a run read one secret. */
export const secretPolicy = (name: string): string => `runner-${name}`;

/** Keys of a run token's metadata that the runner compares with its payload. */
export const TOKEN_META = {
  attempt: 'attempt_token',
  action: 'action_blob',
  formula: 'formula_blob',
} as const;
