import { pino } from 'pino';
import { createRedactor, type Redactor, type Secret } from './domain/redact.ts';
import { escapedJson, printable } from './domain/text.ts';
import { CODES, EdgeError } from './errors.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, unknown>>;
type Say = (message: string, fields?: Fields) => void;

/** Messages are constant; what varies goes into the fields, errors as `err`. Satisfies the port `Log`. */
export interface Logger extends Readonly<Record<Level, Say>> {
  /** Binds fields (ids) to everything that it says. */
  child(fields: Fields): Logger;
}

export interface LogOptions {
  /** Where lines go: standard error. On a terminal they are for people, else one JSON object each. */
  readonly stream: { write(text: string): unknown; readonly isTTY?: boolean };
  /** `NO_COLOR` is set to something. */
  readonly noColor: boolean;
  /** Default: info. */
  readonly level?: Level;
  /** Wall time; default: the machine's. */
  readonly now?: () => Date;
}

export interface LogSink {
  readonly log: Logger;
  /**
   * From now on the value is masked in every line, in every common encoding, as `[masked:NAME]`. Call it before the
   * value is used for anything. Again is no error; an empty value is ignored.
   */
  readonly registerSecret: (value: string, name?: string) => void;
}

/** Everything that the program says goes through here: fields → line → scrubber → stream. */
export function createLog(options: LogOptions): LogSink {
  const { stream, noColor, level = 'info', now = () => new Date() } = options;
  const scrubber = createScrubber();
  const format = stream.isTTY === true ? (line: string) => forPeople(line, !noColor) : escapedJson;
  const destination = { write: (line: string) => void stream.write(format(scrubber.scrub(line))) };
  const root = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${now().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      // Errors were described before; pino would take the description for another error.
      serializers: { err: (err: unknown) => err },
      redact: { paths: NEVER_SHOWN.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), remove: true },
    },
    destination,
  );
  return { log: loggerOf(root), registerSecret: (value, name) => scrubber.register(value, name) };
}

/** Taken out wherever a caller has put them by mistake. */
const NEVER_SHOWN = ['headers', 'body', 'authorization', 'payload', 'wrapping_token', 'trailer_key', 'password'];

function loggerOf(target: pino.Logger): Logger {
  const say = (level: Level): Say => {
    return (message, fields = {}) => target[level](describeErrors(fields), message);
  };
  return {
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
    child: (fields) => loggerOf(target.child(describeErrors(fields))),
  };
}

// Errors as fields

function describeErrors(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? describeError(value) : value]),
  );
}

/** What a line says of an error: of ours code, class and hint; the stack only of what nobody expected. */
function describeError(error: Error): Fields {
  const causes = causesOf(error);
  const cause = causes.length === 0 ? {} : { causes };
  if (!(error instanceof EdgeError) || error.code === 'ERR_INTERNAL') {
    return {
      code: 'ERR_INTERNAL',
      class: 'bug',
      name: error.name,
      message: error.message,
      ...cause,
      stack: error.stack,
    };
  }
  const { code, hint, message } = error;
  return { code, class: CODES[code].class, message, hint, ...cause };
}

/** Codes only: the message of a foreign error may hold what it was about. */
function causesOf(error: Error): string[] {
  const codes: string[] = [];
  for (let cause = error.cause; cause instanceof Error && codes.length < 10; cause = cause.cause) {
    codes.push('code' in cause && typeof cause.code === 'string' ? cause.code : cause.name);
  }
  return codes;
}

// The scrubber

function createScrubber() {
  const secrets = new Map<string, Secret>();
  let redactor: Redactor | null = null;
  return {
    register(value: string, name = 'secret'): void {
      const text = value.trim();
      if (text === '' || secrets.has(text)) return;
      secrets.set(text, { name, value: text });
      redactor = createRedactor([...secrets.values()]);
    },
    scrub(line: string): string {
      if (redactor === null) return line;
      const stream = redactor.stream();
      const long = Buffer.concat([stream.write(Buffer.from(line)), stream.end()]).toString();
      const scrubbed = maskShort(long, [...secrets.keys()]);
      return scrubbed === line || isJson(scrubbed) ? scrubbed : WITHHELD;
    },
  };
}

/** The redactor lets values under 8 bytes pass, because a run's output is not ours to spoil; a log line is. */
function maskShort(line: string, secrets: readonly string[]): string {
  const short = secrets.filter((secret) => Buffer.byteLength(secret) < 8);
  return short.reduce((text, secret) => text.replaceAll(JSON.stringify(secret).slice(1, -1), '[masked]'), line);
}

/** In place of a line that masking has broken (a secret made of digits may be part of a number). */
const WITHHELD = `${JSON.stringify({ level: 'warn', msg: 'a line was withheld: it can not be shown without a secret' })}\n`;

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

// For people

const COLOURS: Readonly<Record<string, string>> = { debug: '90', info: '36', warn: '33', error: '31' };

/** `03:04:05 WARN  message  key=value`, and below it what an error says and what to do about it. */
function forPeople(line: string, colours: boolean): string {
  const { level = '', time = '', msg = '', err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const paint = (text: string, colour: string) => (colours ? `\u001b[${colour}m${text}\u001b[0m` : text);
  const label = paint(String(level).toUpperCase().padEnd(5), COLOURS[String(level)] ?? '0');
  const pairs = Object.entries(fields).map(([key, value]) => ` ${paint(`${key}=`, '90')}${shown(value)}`);
  return `${String(time).slice(11, 19)} ${label} ${printable(String(msg))} ${pairs.join('')}`
    .trimEnd()
    .concat('\n', told(err));
}

/** The error's own lines, indented. */
function told(err: unknown): string {
  if (typeof err !== 'object' || err === null) return err === undefined ? '' : `  ${shown(err)}\n`;
  const { code, message, hint, causes, stack } = err as Record<string, unknown>;
  const because = Array.isArray(causes) ? ` (${causes.map(shown).join(', ')})` : '';
  const lines = [`${shown(code)}: ${printable(String(message))}${because}`];
  if (typeof hint === 'string') lines.push(`→ ${printable(hint)}`);
  if (typeof stack === 'string')
    lines.push(
      ...stack
        .split('\n')
        .slice(1)
        .map((frame) => printable(frame.trim())),
    );
  return lines.map((text) => `  ${text}\n`).join('');
}

function shown(value: unknown): string {
  if (typeof value !== 'string') return printable(JSON.stringify(value) ?? '');
  return /^[^\s"=]+$/.test(value) ? printable(value) : printable(JSON.stringify(value));
}

// At most so often

/**
 * One line per key and `everyMs`; those in between are counted, and the next one that is said tells how many were not
 * (`unsaid`). In: the log, a clock of growing milliseconds. Out: the log to use for what `key` names (a service).
 */
export function rateLimited(log: Logger, clock: { monotonic(): number }, everyMs = 30_000): (key: string) => Logger {
  const states = new Map<string, { saidAt: number; unsaid: number }>();
  const limit = (key: string, target: Logger): Logger => {
    const say = (level: Level): Say => {
      return (message, fields = {}) => {
        const state = states.get(key);
        const now = clock.monotonic();
        if (state !== undefined && now - state.saidAt < everyMs) {
          state.unsaid += 1;
          return;
        }
        const unsaid = state === undefined || state.unsaid === 0 ? {} : { unsaid: state.unsaid };
        states.set(key, { saidAt: now, unsaid: 0 });
        target[level](message, { ...fields, ...unsaid });
      };
    };
    return {
      debug: say('debug'),
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
      child: (fields) => limit(key, target.child(fields)),
    };
  };
  return (key) => limit(key, log);
}
