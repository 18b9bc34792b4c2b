import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAction } from '../../../src/domain/action.ts';
import { checkAgainstFormula, dependencyCycle, effectiveTimeoutSeconds } from '../../../src/domain/action-check.ts';
import { parseFormula } from '../../../src/domain/formula.ts';
import { type ActionId, isActionId } from '../../../src/domain/ids.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

function check(ofAction: string, ofFormula: string) {
  const base = 'id = "a"\nformula = "f"\ncontext = "why"\n';
  const secrets = ofAction.includes('secrets =') ? '' : 'secrets = []\n';
  const action = parseAction(bytesOf(`${base}${secrets}${ofAction}\n`), 'a.toml');
  const formula = parseFormula(bytesOf(`name = "f"\ndescription = "what"\nscript = "x"\n${ofFormula}\n`), 'f.toml');
  if (!action.ok || !formula.ok) throw new Error(JSON.stringify([action, formula]));
  return checkAgainstFormula(action.value, formula.value, 'a.toml').map(({ code, message, hint }) => ({
    code,
    message,
    hint,
  }));
}

describe('checkAgainstFormula', () => {
  it('has nothing against an action that asks for what the formula allows, or for less', () => {
    const allowed = 'secrets = ["A", "B"]\nmounts = ["ssh"]\ntools = ["t"]\nmodels = ["m"]\nidempotent = true';
    expect(
      check(
        'secrets = ["B"]\nmounts = ["ssh"]\ntools = ["t"]\nmodel = "m"\nretry = { attempts = 2, on = ["failed"] }',
        allowed,
      ),
    ).toEqual([]);
    expect(check('', allowed)).toEqual([]);
  });

  it('names everything that the formula does not allow, each with its code', () => {
    const asked =
      'secrets = ["A", "B"]\nmounts = ["gpg"]\ntools = ["u"]\nmodel = "n"\nretry = { attempts = 2, on = ["failed"] }\ninputs = { x = 1 }';
    const found = check(asked, 'secrets = ["A"]\nmounts = ["ssh"]\ntools = ["t"]\nmodels = ["m"]');
    expect(found.map(({ code, message }) => [code, message])).toEqual([
      ['ERR_SECRET_NOT_ALLOWED', 'formula f does not allow the secret B'],
      ['ERR_MOUNT_NOT_ALLOWED', 'formula f does not allow the mount gpg'],
      ['ERR_TOOL_NOT_ALLOWED', 'formula f does not allow the tool u'],
      ['ERR_MODEL_NOT_ALLOWED', 'formula f does not allow the model n'],
      ['ERR_RETRY_NOT_ALLOWED', 'formula f is not idempotent'],
      ['ERR_INPUT', 'inputs.x is not declared by the formula'],
    ]);
  });

  it('allows any model where the formula names none', () => {
    expect(check('model = "m"', '')).toEqual([]);
  });

  it('says which name was probably meant', () => {
    const found = check('secrets = ["GITHUB_TOKN"]', 'secrets = ["CODEBERG_TOKEN", "GITHUB_TOKEN"]');
    expect(found).toMatchObject([{ hint: 'Did you mean GITHUB_TOKEN?' }]);
  });
});

describe('effectiveTimeoutSeconds', () => {
  it.each([
    [30, 90, 1800],
    [120, 90, 5400],
  ])('of %i minutes asked and %i allowed is %i: the maximum of the formula wins', (asked, allowed, seconds) => {
    expect(effectiveTimeoutSeconds({ timeout_minutes: asked }, { timeout_minutes: allowed })).toBe(seconds);
  });
});

describe('dependencyCycle', () => {
  const id = (text: string): ActionId => {
    if (isActionId(text)) return text;
    throw new Error('no id');
  };
  /** `a>b,c b>a`, written oldest first. */
  const find = (text: string) => {
    const pairs = text.split(' ').map((part): [ActionId, ActionId[]] => {
      const [from = '', to = ''] = part.split('>');
      return [id(from), to.split(',').filter(Boolean).map(id)];
    });
    return Object.fromEntries(
      dependencyCycle(
        new Map(pairs),
        pairs.map(([from]) => from),
      ),
    );
  };

  it.each([
    ['a b>a c>b,a', {}],
    ['a>gone b>a', {}],
    ['a>a', { a: ['a'] }],
    ['a>b b>a', { b: ['b', 'a'] }],
    ['a>c b>a c>b', { c: ['c', 'b', 'a'] }],
    ['a>b b>a,c c>b', { b: ['b', 'a'], c: ['c', 'b'] }],
    ['a>b b>c c>b d>a', { c: ['c', 'b'] }],
  ])('of %s, oldest first, is closed by %j', (text, expected) => {
    expect(find(text)).toEqual(expected);
  });

  it('goes along a chain of ten thousand', () => {
    const ids = Array.from({ length: 10_000 }, (_, index) => id(`a${index}`));
    const chain = new Map(ids.map((each, index) => [each, ids.slice(index + 1, index + 2)]));
    chain.set(id('a9999'), [id('a0')]);
    expect([...dependencyCycle(chain, ids.toReversed()).keys()]).toEqual(['a0']);
  });

  it('leaves no circle among the others, and names nothing that is on none', () => {
    const node = fc.integer({ min: 0, max: 7 });
    const edges = fc.array(fc.tuple(node, node), { maxLength: 20 });
    fc.assert(
      fc.property(edges, fc.uniqueArray(node, { minLength: 8, maxLength: 8 }), (pairs, order) => {
        const ids = order.map((each) => id(`n${each}`));
        const graph = new Map(
          ids.map((from) => [from, pairs.filter(([a]) => `n${a}` === from).map(([, b]) => id(`n${b}`))]),
        );
        const closing = dependencyCycle(graph, ids);
        for (const [from, circle] of closing) {
          const steps = circle.map((each, index) => graph.get(each)?.includes(circle[index + 1] ?? from));
          expect([circle[0], ...new Set(steps)]).toEqual([from, true]);
        }
        const rest = ids.filter((each) => !closing.has(each));
        const open = new Map(rest.map((each) => [each, (graph.get(each) ?? []).filter((to) => !closing.has(to))]));
        expect(dependencyCycle(open, rest).size).toBe(0);
      }),
    );
  });
});
