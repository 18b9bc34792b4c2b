/** What of a task concerns the secret store: its login, its identities and its templates, in a form to be compared. */

type Fields = Readonly<Record<string, unknown>>;

/** What each field is where it is not set. */
const TEMPLATE: Fields = {
  EmbeddedTmpl: '',
  SourcePath: '',
  DestPath: '',
  Perms: '0644',
  Uid: null,
  Gid: null,
  ChangeMode: 'restart',
  ChangeScript: null,
  Envvars: false,
  ErrMissingKey: false,
  Once: false,
  LeftDelim: '{{',
  RightDelim: '}}',
  Wait: null,
};
const VAULT: Fields = {
  Role: '',
  Policies: null,
  Namespace: '',
  Cluster: 'default',
  Env: true,
  DisableFile: false,
  ChangeMode: 'restart',
  AllowTokenExpiration: false,
};
const IDENTITY: Fields = {
  Name: '',
  Audience: null,
  Env: false,
  File: false,
  Filepath: '',
  ChangeMode: '',
  ExtraClaims: null,
  ServiceName: '',
  TTL: 0,
};

/** Each part by its name in Nomad's JSON: what there is of it, with all the fields that are compared. */
export function secretStoreParts(
  task: unknown,
): Readonly<Record<'Vault' | 'Templates' | 'Identities', readonly Fields[]>> {
  const { Vault, Templates, Identities } = fieldsOf(task);
  return {
    Vault: Vault === null || Vault === undefined ? [] : [pick(Vault, VAULT)],
    Templates: listOf(Templates).map((each) => pick(each, TEMPLATE)),
    Identities: listOf(Identities).map((each) => pick(each, IDENTITY)),
  };
}

/** Constraints that Nomad itself adds for a task that logs in to the secret store. */
export const IMPLIED_BY_VAULT: readonly Fields[] = [
  { LTarget: '${attr.vault.version}', Operand: 'semver', RTarget: '>= 0.6.1' },
  { LTarget: '${attr.nomad.version}', Operand: 'semver', RTarget: '>= 1.7.0-a' },
];

function pick(value: unknown, defaults: Fields): Fields {
  const given = fieldsOf(value);
  return Object.fromEntries(Object.entries(defaults).map(([key, standard]) => [key, given[key] ?? standard]));
}

const fieldsOf = (value: unknown): Fields => Object(value);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
