/**
 * Sections, keys and values of the formats that nothing in this version acts on: to take one silently would promise what
 * is not done. A value that this version has is not asked for here.
 */

export const NOT_YET_SECTIONS: readonly string[] = ['engine.kubernetes', 'engine.argo', 'engine.pool'];

export const NOT_YET_KEYS: readonly string[] = [];

export const NOT_YET_VALUES: readonly string[] = ['kubernetes', 'argo', 'pool'];
