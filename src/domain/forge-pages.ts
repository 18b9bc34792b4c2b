/** The page of a file of the branch, as people read it; null: the forge's way is not known. `change`: page of any change. */
export function filePage(kind: string, change: string, branch: string, path: string): string | null {
  const repo = /^(https?:\/\/.+)\/pulls?\/\d+$/.exec(change)?.[1];
  const folder = FOLDERS[kind];
  if (repo === undefined || folder === undefined) return null;
  const encoded = (text: string) => text.split('/').map(encodeURIComponent).join('/');
  return `${repo}/${folder}/${encoded(branch)}/${encoded(path)}`;
}

const FOLDERS: Partial<Record<string, string>> = { forgejo: 'src/branch', gitea: 'src/branch', github: 'blob' };
