/** Content of a file; null removes it. `mode` makes it a link (120000), an executable (100755) or a submodule (160000: `content` is the commit). */
export type FileContent = string | Uint8Array | null | { readonly mode: string; readonly content: string };

interface ImportedCommit {
  readonly branch: string;
  readonly parent: string | null;
  readonly message: string;
  /** GIT_AUTHOR_NAME and the others; dates as `@<seconds> <zone>`. */
  readonly identity: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, FileContent>>;
}

/** What `git fast-import` reads to put one commit on a branch and to print its id; the commit is that of commit-tree. */
export function importStream({ branch, parent, message, identity, files }: ImportedCommit): Buffer {
  const line = (role: 'AUTHOR' | 'COMMITTER'): string => {
    const [name, email, date = ''] = ['NAME', 'EMAIL', 'DATE'].map((part) => identity[`GIT_${role}_${part}`]);
    return `${role.toLowerCase()} ${name} <${email}> ${date.slice(1)}\n`;
  };
  return Buffer.concat([
    Buffer.from(`commit refs/heads/${branch}\nmark :1\n${line('AUTHOR')}${line('COMMITTER')}`),
    ...data(message),
    Buffer.from(parent === null ? '' : `from ${parent}\n`),
    ...Object.entries(files).flatMap(([file, content]) => change(file, content)),
    Buffer.from('get-mark :1\ndone\n'),
  ]);
}

function change(file: string, content: FileContent): readonly Buffer[] {
  const name = `"${file.replaceAll(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"\n`;
  if (content === null) return [Buffer.from(`D ${name}`)];
  if (typeof content === 'string' || content instanceof Uint8Array) {
    return [Buffer.from(`M 100644 inline ${name}`), ...data(content)];
  }
  if (content.mode === '160000') return [Buffer.from(`M 160000 ${content.content} ${name}`)];
  return [Buffer.from(`M ${content.mode} inline ${name}`), ...data(content.content)];
}

function data(content: string | Uint8Array): readonly Buffer[] {
  const bytes = Buffer.from(content);
  return [Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n')];
}
