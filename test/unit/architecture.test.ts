import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * The import table of ARCHITECTURE.md, enforced: the table is parsed from there, so it can't say one thing while the
 * code does another. A head or a cell names layers of src/ plainly (`domain` is a folder; `config.ts` a file, whose
 * helpers may live in config/) and packages in backticks; what follows a semicolon is prose.
 */

const ROOT = path.resolve(import.meta.dirname, '../..');
const FAMILIES = ['access', 'engines', 'forges', 'ops-repo', 'stores'];
const REGISTRIES = ['approvals', 'adapters/access', 'adapters/engines', 'adapters/forges', 'adapters/stores'];
const ENVIRONMENT_READERS = ['config.ts', 'runner/main.ts'];

interface Row {
  readonly layers: readonly string[];
  readonly cell: string;
  /** The layers and packages it may import, its own layer aside, or everything. */
  readonly may: 'everything' | { readonly layers: readonly string[]; readonly packages: readonly string[] };
}

const table = readTable(read('ARCHITECTURE.md'));
const layers = table.flatMap((row) => row.layers);
const sources = sourceFiles();

describe('the import table of ARCHITECTURE.md', () => {
  it('has a row for every file and folder of src/', () => {
    const unknown = sources.map(layerOf).filter((layer) => !layers.includes(layer));
    expect(new Set(unknown)).toEqual(new Set());
  });

  it('names each layer once', () => {
    expect(layers).toEqual([...new Set(layers)]);
  });

  it.each(table.map((row) => [row.layers.join(', '), row.cell, row] as const))('lets %s import %s', (_, _cell, row) => {
    const files = sources.filter((file) => row.layers.includes(layerOf(file)));
    expect(files.flatMap((file) => forbiddenImports(file, row))).toEqual([]);
  });

  it('is what the linter enforces, folder by folder', () => {
    const overrides = (JSON.parse(read('.oxlintrc.json')) as { overrides: LintOverride[] }).overrides;
    const enforced = overrides.filter((override) => IMPORT_RULE in override.rules);
    expect(enforced).toEqual(table.flatMap(lintOverrides));
  });
});

describe('the adapters', () => {
  it('come in the known families, besides the shared files at their top', () => {
    const folders = sources.filter((file) => /^adapters\/.+\//.test(file)).map((file) => file.split('/')[1]);
    expect(FAMILIES).toEqual(expect.arrayContaining([...new Set(folders)]));
  });

  it('never import from another family', () => {
    const adapters = sources.filter((file) => layerOf(file) === 'adapters');
    expect(adapters.flatMap(importsOfStrangers)).toEqual([]);
  });

  function importsOfStrangers(file: string): string[] {
    const strangers = importsOf(file).filter((target) => ![undefined, familyOf(file)].includes(familyOf(target)));
    return strangers.map((target) => `src/${file} imports ${target}`);
  }
});

describe('the environment', () => {
  it('is read by the configuration and by the entry of the runner only', () => {
    const forms = [
      /\bprocess\s*\??\.\s*env\b/,
      /\bprocess\s*(\?\.)?\[/,
      /\benv\b[^;{}]*\}\s*=\s*process\b/,
      /\benv\b[^;{}]*\}\s*from\s*['"]node:process['"]/,
      /\*\s*as\s+\w+\s+from\s*['"]node:process['"]/,
    ];
    const readers = sources.filter((file) => forms.some((form) => form.test(codeOf(file))));
    expect(readers.filter((file) => !ENVIRONMENT_READERS.includes(file))).toEqual([]);
  });
});

describe('the registries', () => {
  it.each(REGISTRIES)('src/%s/index.ts names every file beside it', (folder) => {
    const files = sources.filter((file) => path.posix.dirname(file) === folder && !file.endsWith('/index.ts'));
    const registered = existsSync(path.join(ROOT, 'src', folder, 'index.ts')) ? importsOf(`${folder}/index.ts`) : [];
    expect(files.filter((file) => !registered.includes(file))).toEqual([]);
  });
});

// The table

function readTable(markdown: string): Row[] {
  const lines = markdown.split('\n');
  const head = lines.findIndex((line) => /^\|\s*folder\s*\|\s*may import\s*\|/.test(line));
  const body = lines.slice(head + 2);
  const rows = body
    .slice(
      0,
      body.findIndex((line) => !line.startsWith('|')),
    )
    .map(cellsOf);
  const known = rows.flatMap(([heads]) => heads.split(', '));
  return rows.map(([heads, cell]) => ({ layers: heads.split(', '), cell, may: readCell(cell, known) }));
}

function cellsOf(line: string): [string, string] {
  const [, heads = '', cell = ''] = line.split('|').map((text) => text.trim());
  return [heads, cell];
}

function readCell(cell: string, known: readonly string[]): Row['may'] {
  const [list = ''] = cell.split(';');
  if (list === 'everything') return list;
  const names = list === 'nothing' ? [] : list.split(', ').filter((name) => !name.includes('`'));
  const typos = names.filter((name) => !known.includes(name));
  if (typos.length > 0) throw new Error(`ARCHITECTURE.md: no row for ${typos.join(', ')}`);
  return { layers: names, packages: [...list.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name) };
}

// The sources

function sourceFiles(): string[] {
  const entries = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  return entries.map((entry) => entry.split(path.sep).join('/')).filter((entry) => entry.endsWith('.ts'));
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

/** The text of a source file without its comments. */
function codeOf(file: string): string {
  const stringsAndComments = /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[^]*?\*\/|\/\/[^\n]*/g;
  return read(`src/${file}`).replace(stringsAndComments, (_, text: string | undefined) => text ?? '');
}

/** What a file imports: paths below src/ for its neighbours, specifiers for packages. */
function importsOf(file: string): string[] {
  const statement = /\b(?:import|export)\b[\w\s*{},$]*?(?:\bfrom\s*)?\(?\s*['"]([^'"\n]+)['"]/g;
  const specifiers = [...codeOf(file).matchAll(statement)].map(([, specifier = '']) => specifier);
  return specifiers.map((name) => (name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : name));
}

function layerOf(file: string): string {
  const [top = file] = file.split('/');
  return layers.includes(`${top}.ts`) ? `${top}.ts` : top;
}

function familyOf(file: string): string | undefined {
  return FAMILIES.find((family) => file.startsWith(`adapters/${family}/`));
}

function forbiddenImports(file: string, { may }: Row): string[] {
  if (may === 'everything') return [];
  const isAllowed = (target: string): boolean => {
    if (target.startsWith('..')) return false;
    if (target.endsWith('.ts')) return layerOf(target) === layerOf(file) || may.layers.includes(layerOf(target));
    return may.packages.some((allowed) => covers(allowed, target));
  };
  return importsOf(file)
    .filter((target) => !isAllowed(target))
    .map((target) => `src/${file} imports ${target}`);
}

/** `zod` covers zod/v4, `node:*` every module of Node, `npm:*` every package. */
function covers(allowed: string, specifier: string): boolean {
  if (allowed === 'npm:*') return !specifier.startsWith('node:');
  if (allowed.endsWith('*')) return specifier.startsWith(allowed.slice(0, -1));
  return specifier === allowed || specifier.startsWith(`${allowed}/`);
}

// The linter

const IMPORT_RULE = 'no-restricted-imports';

interface LintPattern {
  readonly group?: readonly string[];
  readonly regex?: string;
  readonly message: string;
}

interface LintOverride {
  readonly files: readonly string[];
  readonly rules: Record<string, unknown>;
}

/** What .oxlintrc.json must say for a row: when the table changes, copy it from this test's failure. */
function lintOverrides(row: Row): LintOverride[] {
  return row.may === 'everything' ? [] : row.layers.flatMap((layer) => overridesOf(layer, row));
}

function overridesOf(layer: string, row: Row): LintOverride[] {
  const patterns = [...neighbourPatterns(layer, row), ...packagePatterns(row)];
  if (layer.endsWith('.ts')) {
    const besideIt = [...neighbourPatterns(layer, row, '\\./'), ...packagePatterns(row)];
    return [lintOverride(`src/${layer}`, besideIt), lintOverride(`src/${layer.slice(0, -3)}/**`, patterns)];
  }
  if (layer !== 'adapters') return [lintOverride(`src/${layer}/**`, patterns)];
  const message = 'another family of adapters, see ARCHITECTURE.md';
  const strangers = (family: string) => FAMILIES.filter((other) => other !== family).join('|');
  return [
    lintOverride('src/adapters/*.ts', [...patterns, { regex: `^\\./(${FAMILIES.join('|')})/`, message }]),
    ...FAMILIES.map((family) =>
      lintOverride(`src/adapters/${family}/**`, [
        ...patterns,
        { regex: `^(\\.\\./)+(${strangers(family)})/`, message },
      ]),
    ),
  ];
}

function lintOverride(files: string, patterns: readonly LintPattern[]): LintOverride {
  return { files: [files], rules: { [IMPORT_RULE]: ['error', { patterns }] } };
}

function packagePatterns({ layers: own, may }: Row): LintPattern[] {
  if (may === 'everything' || may.packages.includes('npm:*')) return [];
  const allowed = may.packages.flatMap((name) => [`!${name}`, `!${name}/**`]);
  return [{ group: ['**', '!./**', '!../**', ...allowed], message: messageOf(own) }];
}

function neighbourPatterns(layer: string, { layers: own, may }: Row, start = '(\\.\\./)+'): LintPattern[] {
  const strangers = layers.filter((other) => other !== layer && may !== 'everything' && !may.layers.includes(other));
  const ends = strangers.map((other) => (other.endsWith('.ts') ? `${other.slice(0, -3)}(/|\\.ts$)` : `${other}/`));
  return [{ regex: `^${start}(${ends.join('|')})`, message: messageOf(own) }];
}

function messageOf(own: readonly string[]): string {
  return `not in the row of ${own.join(', ')}, see ARCHITECTURE.md`;
}
