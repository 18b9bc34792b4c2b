import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { choosePlaces, makePlaces, type Places, removePlaces } from '../../../src/runner/places.ts';

let root: string;
let shared: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'agent-data-'));
  chmodSync(root, 0o755);
  shared = path.join(root, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o755);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('the directory for what an agent keeps', () => {
  it("is the run's own, of a name that no other has, and goes with all that is in it (S2.1)", () => {
    const [one, other] = [placesFor(null), placesFor(null)];
    for (const places of [one, other]) makePlaces(places);
    expect(one.agentData).not.toBe(other.agentData);
    const directory = dataOf(one);
    expect(path.dirname(directory)).toBe(shared);
    expect([path.basename(directory).length, statSync(directory).mode & 0o777]).toEqual([36, 0o700]);
    mkdirSync(path.join(directory, 'cache/module'), { recursive: true });
    writeFileSync(path.join(directory, 'cache/module/x'), 'x');
    for (const name of ['cache/module', 'cache']) chmodSync(path.join(directory, name), 0o500);
    removePlaces(one);
    removePlaces(one);
    expect(readdirSync(shared)).toEqual([path.basename(dataOf(other))]);
  });

  it('goes also where what lies in it is deeper than a path may be long', () => {
    const places = placesFor(null);
    makePlaces(places);
    const dig = `name=$(printf 'a%.0s' $(seq 200)); for level in $(seq 30); do mkdir $name && cd $name; done; echo x > note`;
    execFileSync('/bin/bash', ['-c', dig], { cwd: dataOf(places) });
    removePlaces(places);
    expect(readdirSync(shared)).toEqual([]);
  });

  it('is not made where the job has no place for it', () => {
    const places = choosePlaces({ directory: null, artifacts: null, runAs: null, agentData: null });
    expect(places.agentData).toBeNull();
  });

  it('can not be had where the volume is not there', () => {
    rmSync(shared, { recursive: true });
    const places = placesFor(null);
    expect(() => makePlaces(places)).toThrow(`a directory beneath ${shared} can't be made (ENOENT)`);
    expect(existsSync(shared)).toBe(false);
  });

  it('closes the one above to a command of another user, and leaves it alone for one of ours', () => {
    makePlaces(placesFor(null));
    expect(statSync(shared).mode & 0o777).toBe(0o755);
    // To give it away takes root; the closing comes before.
    const places = placesFor({ uid: 65_533, gid: 65_533 });
    makeAsFarAsPossible(places);
    expect(statSync(shared).mode & 0o777).toBe(0o711);
  });

  it('is not made beneath one that the user of the command owns: it could list and change it', () => {
    const places = placesFor({ uid: process.getuid?.() ?? 0, gid: 65_533 });
    expect(() => makePlaces(places)).toThrow(`may list or change ${shared}; let it belong to root, with mode 0711`);
    expect(readdirSync(shared)).toEqual([]);
  });
});

function placesFor(runAs: Places['owner']): Places {
  const directory = mkdtempSync(path.join(root, 'run-'));
  return choosePlaces({ directory, artifacts: null, runAs, agentData: shared });
}

function dataOf({ agentData }: Places): string {
  if (agentData === null) throw new Error('it was to have one');
  return agentData;
}

function makeAsFarAsPossible(places: Places): void {
  try {
    makePlaces(places);
  } catch {
    // Without root.
  }
}
