import { type Answer, noRight } from './answers.ts';
import { type Aim, type Fault, Faults, type Trouble } from './faults.ts';
import { handle } from './handle.ts';
import { addSecret, daemonToken, type Installation, type InstallOptions, install } from './install.ts';
import { Listener } from './listener.ts';
import type { RawRequest } from './request.ts';
import { type MintKnobs, type Standby, State, type ValueRead, type WrappingKnobs } from './state.ts';
import type { TokenRecord } from './tokens.ts';

export interface FakeVaultOptions {
  /** Milliseconds since 1970; default: the system's clock. `advance` moves on from it. */
  readonly now?: () => number;
}

/** One request as it was seen. It holds no token: `token` is what tests call it. */
export interface SeenRequest {
  readonly method: string;
  /** Without `/v1/` and without query. */
  readonly path: string;
  /** `root`, `daemon`, `wrapping`, `role:<name>`, `jwt:<role>`, `token`; `none`, `unknown`. */
  readonly token: string;
  readonly wrapTtl: string | undefined;
  readonly body: string;
  /** 0 while it is not answered, and when the connection was cut. */
  status: number;
}

/** What can be told of a token without knowing it. */
export type LiveToken = Pick<
  TokenRecord,
  'accessor' | 'label' | 'policies' | 'meta' | 'orphan' | 'role' | 'expiresAt' | 'path'
>;

/**
 * An OpenBao on loopback, over real HTTP and with state: policies, tokens and token roles, response wrapping, KV v2,
 * JWT logins, health. It answers as OpenBao 2.6.2 was recorded (test/fixtures/recordings/openbao). `install` sets up
 * what our deployment would; faults are armed by the methods below and end by `stop()` or `close()`.
 */
export class FakeVault {
  readonly requests: SeenRequest[] = [];
  readonly #state: State;
  readonly #faults = new Faults();
  readonly #listener: Listener;
  readonly #timers = new Map<NodeJS.Timeout, () => void>();
  #installation: Installation | null = null;

  private constructor({ now = Date.now }: FakeVaultOptions) {
    this.#state = new State(now);
    this.#listener = new Listener(
      (request) => this.#respond(request),
      () => this.now(),
    );
  }

  static async start(options: FakeVaultOptions = {}): Promise<FakeVault> {
    const vault = new FakeVault(options);
    await vault.#listener.open();
    return vault;
  }

  /** `http://127.0.0.1:<port>` */
  get address(): string {
    return this.#listener.origin;
  }

  get rootToken(): string {
    return this.#state.root.id;
  }

  async close(): Promise<void> {
    this.#faults.clear();
    for (const [timer, resolve] of this.#timers) {
      clearTimeout(timer);
      resolve();
    }
    await this.#listener.close();
  }

  // Setting up

  /** What our deployment sets up (mount, policies, role `edge-run`, secrets), with a token for the daemon. */
  install(options: InstallOptions = {}): Installation {
    this.#installation = install(this.#state, options);
    return this.#installation;
  }

  /** A new version of a secret, where `install` said that runs look for it, and its policy `runner-<NAME>`. */
  putSecret(name: string, value: string): void {
    this.putSecretData(name, { [this.#placed().field]: value });
  }

  /** The same with any fields, or none. */
  putSecretData(name: string, data: Readonly<Record<string, unknown>>): void {
    addSecret(this.#state, this.#placed(), name, data);
  }

  /** `deleted`: its newest version; `destroyed`: that for good; `absent`: as if it never was. The policy stays. */
  loseSecret(name: string, how: 'deleted' | 'destroyed' | 'absent'): void {
    const { kvMount, secretPath } = this.#placed();
    const mount = this.#state.mount(kvMount);
    const path = secretPath.replace('{name}', name);
    if (how === 'deleted') mount.delete(path);
    else if (how === 'destroyed') mount.destroy(path);
    else mount.remove(path);
  }

  putPolicy(name: string, hcl: string): void {
    this.#state.policies.put(name, hcl);
  }

  removePolicy(name: string): void {
    this.#state.policies.delete(name);
  }

  /** Another token with the daemon's policy. */
  newDaemonToken(): string {
    return daemonToken(this.#state).id;
  }

  /** From now on this text is a good JWT with these claims (`aud` is `vault.io` unless given). */
  acceptJwt(jwt: string, claims: Readonly<Record<string, unknown>> = {}): void {
    this.#state.jwt.accept(jwt, { aud: 'vault.io', nomad_job_id: 'edge-dispatcher', ...claims });
  }

  refuseJwt(jwt: string): void {
    this.#state.jwt.refuse(jwt);
  }

  // Looking in

  /** Every secret value that was handed out, and to whom. */
  get valuesRead(): readonly ValueRead[] {
    return this.#state.valuesRead;
  }

  /** Undefined: revoked, expired, or never there. */
  token(accessor: string): LiveToken | undefined {
    return this.#state.tokens.byAccessor(accessor);
  }

  /** Live tokens that came from a token role: those of runs. */
  get runTokens(): readonly LiveToken[] {
    return this.#state.tokens.live().filter(({ role }) => role !== null);
  }

  /** `unread`, `revoked` or `consumed`; undefined: no wrapper has this accessor. Expiry does not count. */
  wrapperState(accessor: string): 'unread' | 'revoked' | 'consumed' | undefined {
    return this.#state.wrappers.byAccessor(accessor)?.state;
  }

  /** Requests to paths that fit. */
  seen(path: RegExp, method?: string): SeenRequest[] {
    return this.requests.filter((one) => path.test(one.path) && (method === undefined || method === one.method));
  }

  /** Requests and values read, from here on. */
  forget(): void {
    this.requests.length = 0;
    this.#state.valuesRead.length = 0;
  }

  // Time and tokens

  advance(ms: number): void {
    this.#state.advance(ms);
  }

  now(): number {
    return this.#state.now();
  }

  /** The token ends now, as if its time were over. */
  expire(token: string): void {
    const record = this.#state.tokens.find(token);
    if (record !== undefined) record.expiresAt = this.#state.now();
  }

  // Knobs

  get sealed(): boolean {
    return this.#state.sealed;
  }

  set sealed(sealed: boolean) {
    this.#state.sealed = sealed;
  }

  set standby(standby: Standby) {
    this.#state.standby = standby;
  }

  /** What mints by a role do other than asked. */
  get mint(): MintKnobs {
    return this.#state.mint;
  }

  get wrapping(): WrappingKnobs {
    return this.#state.wrapping;
  }

  /** Answers with this instead of doing the work; the default body is that of an internal error. */
  answer(status: number, aim: Aim = {}, body: unknown = { errors: ['internal error'] }): Trouble {
    return this.#faults.arm({ kind: 'answer', answer: { status, body } }, aim);
  }

  /** Redirects there, keeping the path, as a standby that can't forward does. */
  redirect(origin: string, aim: Aim = {}): Trouble {
    return this.#faults.arm({ kind: 'answer', answer: { status: 307, headers: { location: origin } } }, aim);
  }

  /** Answers as to a token without right. */
  deny(aim: Aim): Trouble {
    return this.#faults.arm({ kind: 'answer', answer: noRight().answer }, aim);
  }

  /** Cuts the connection; nothing is done. */
  cut(aim: Aim = {}): Trouble {
    return this.#faults.arm({ kind: 'cut' }, aim);
  }

  /** Does the work and cuts the connection instead of answering. */
  loseAnswer(aim: Aim = {}): Trouble {
    return this.#faults.arm({ kind: 'lose' }, aim);
  }

  /** Holds requests before their work until `stop()`. */
  hold(aim: Aim = {}): Trouble {
    return this.#faults.hold(aim);
  }

  delay(ms: number, aim: Aim = {}): Trouble {
    return this.#faults.arm({ kind: 'delay', ms }, aim);
  }

  /** Connections are refused until `acceptConnections`, which listens on the same port again. */
  refuseConnections(): Promise<void> {
    return this.#listener.close();
  }

  acceptConnections(): Promise<void> {
    return this.#listener.open();
  }

  #placed(): Installation {
    if (this.#installation === null) throw new Error('install() comes first');
    return this.#installation;
  }

  async #respond(request: RawRequest): Promise<Answer | 'cut'> {
    const seen = this.#see(request);
    const fault = this.#faults.hit(seen.method, seen.path);
    const answer = await this.#underFault(request, fault);
    seen.status = answer === 'cut' ? 0 : answer.status;
    return answer;
  }

  async #underFault(request: RawRequest, fault: Fault | undefined): Promise<Answer | 'cut'> {
    if (fault?.kind === 'cut') return 'cut';
    if (fault?.kind === 'answer') return redirected(fault.answer, request);
    if (fault?.kind === 'hold') await fault.released;
    if (fault?.kind === 'delay') await this.#pause(fault.ms);
    const answer = handle(this.#state, request);
    return fault?.kind === 'lose' ? 'cut' : answer;
  }

  #see({ method, url, headers, body }: RawRequest): SeenRequest {
    const id = headers['x-vault-token'] ?? '';
    const { pathname } = new URL(url, this.address);
    const seen = {
      method,
      path: decodeURIComponent(pathname).replace(/^\/v1\//, ''),
      token: id === '' ? 'none' : (this.#state.tokens.labelOf(id) ?? 'unknown'),
      wrapTtl: headers['x-vault-wrap-ttl'],
      body,
      status: 0,
    };
    this.requests.push(seen);
    return seen;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
      }, ms);
      this.#timers.set(timer, resolve);
    });
  }
}

function redirected(answer: Answer, { url }: RawRequest): Answer {
  const origin = answer.headers?.['location'];
  return origin === undefined ? answer : { ...answer, headers: { location: `${origin}${url}` } };
}
