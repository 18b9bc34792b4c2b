import type { Answer, Call } from './http.ts';
import { denied, Refusal } from './http.ts';
import { allocationFor, checkPath } from './logs.ts';
import type { Parts, Route } from './route.ts';

/** What a client serves of the directory of an allocation. */
export const fileRoutes: readonly Route[] = [
  {
    name: 'logs',
    method: /GET/,
    path: /^\/v1\/client\/fs\/logs\/([^/]+)$/,
    answer: (call, { logs }) => logs.handle(call),
  },
  { name: 'cat', method: /GET/, path: /^\/v1\/client\/fs\/(?:cat|readat)\/([^/]+)$/, answer: cat },
  { name: 'stat', method: /GET/, path: /^\/v1\/client\/fs\/stat\/([^/]+)$/, answer: stat },
  { name: 'ls', method: /GET/, path: /^\/v1\/client\/fs\/ls\/([^/]+)$/, answer: ls },
];

/** Errors are the content: whatever goes wrong, the status is 200. */
function cat(call: Call, parts: Parts): Answer {
  let content: Buffer;
  try {
    content = fileOf(call, parts);
  } catch (error) {
    if (error instanceof Refusal) return { text: error.message };
    throw error;
  }
  const from = Number(call.query.get('offset') ?? 0);
  const limit = call.query.get('limit');
  call.response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' });
  call.response.end(content.subarray(from, limit === null ? undefined : from + Number(limit)));
  return null;
}

function stat(call: Call, parts: Parts): Answer {
  const { length } = fileOf(call, parts);
  const name = (call.query.get('path') ?? '').split('/').at(-1) ?? '';
  return {
    json: { Name: name, IsDir: false, Size: length, FileMode: '-rw-r--r--', ModTime: new Date().toISOString() },
  };
}

/** Refused to the daemon; what is in a directory is not served. */
function ls(call: Call, { state }: Parts): Answer {
  const allocation = allocationFor(call, state);
  if (!call.rights.has('read-fs', allocation.Namespace)) throw denied();
  checkPath(allocation);
  return { json: [] };
}

function fileOf(call: Call, { state, scheduler }: Parts): Buffer {
  const allocation = allocationFor(call, state);
  if (!call.rights.has('read-fs', allocation.Namespace)) throw denied();
  checkPath(allocation);
  const path = call.query.get('path') ?? '';
  if (path.split('/').includes('..')) throw new Refusal(500, 'Path escapes the alloc directory');
  const content = scheduler.file(allocation.ID, path);
  if (content !== null) return content;
  throw new Refusal(404, `stat /var/lib/nomad/alloc/${allocation.ID}/${path}: no such file or directory`);
}
