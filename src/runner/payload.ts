import { closeSync, constants, fstatSync, openSync, readFileSync, unlinkSync } from 'node:fs';
import process from 'node:process';
import { decodePayload, PAYLOAD_MAX_BYTES, type Payload } from '../domain/payload.ts';
import { toError } from '../errors.ts';
import { errorCode, RunnerError } from './runner-error.ts';

/**
 * Reads the payload from `file`, or from stdin when it is null, and deletes the file: it holds the trailer's key and the
 * single-use wrapper, and the command must find neither. Throws RunnerError (ERR_PAYLOAD) without quoting any of it.
 */
export async function takePayload(file: string | null): Promise<Payload> {
  const bytes = file === null ? await readStdin() : takeFile(file);
  if (bytes.length > PAYLOAD_MAX_BYTES) throw tooLarge();
  try {
    return decodePayload(bytes);
  } catch (error) {
    throw new RunnerError('ERR_PAYLOAD', toError(error).message);
  }
}

function takeFile(file: string): Buffer {
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      unlinkSync(file);
      if (fstatSync(fd).size > PAYLOAD_MAX_BYTES) throw tooLarge();
      return readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof RunnerError) throw error;
    throw new RunnerError('ERR_PAYLOAD', `the payload can't be read and deleted (${errorCode(error) ?? 'error'})`);
  }
}

async function readStdin(): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > PAYLOAD_MAX_BYTES) throw tooLarge();
  }
  return Buffer.concat(chunks);
}

function tooLarge(): RunnerError {
  return new RunnerError('ERR_PAYLOAD', `the payload is larger than ${PAYLOAD_MAX_BYTES} bytes`);
}
