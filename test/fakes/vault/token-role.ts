/** A role of auth/token/roles. */
export interface TokenRole {
  readonly name: string;
  readonly allowedPolicies: readonly string[];
  readonly allowedPoliciesGlob: readonly string[];
  readonly disallowedPolicies: readonly string[];
  readonly disallowedPoliciesGlob: readonly string[];
  readonly orphan: boolean;
  readonly renewable: boolean;
  readonly noDefaultPolicy: boolean;
  readonly tokenType: string;
  readonly explicitMaxTtl: number;
  readonly period: number;
  readonly numUses: number;
  readonly pathSuffix: string;
  readonly boundCidrs: readonly string[];
}

export const NEW_ROLE: Omit<TokenRole, 'name'> = {
  allowedPolicies: [],
  allowedPoliciesGlob: [],
  disallowedPolicies: [],
  disallowedPoliciesGlob: [],
  orphan: false,
  renewable: true,
  noDefaultPolicy: false,
  tokenType: 'default-service',
  explicitMaxTtl: 0,
  period: 0,
  numUses: 0,
  pathSuffix: '',
  boundCidrs: [],
};
