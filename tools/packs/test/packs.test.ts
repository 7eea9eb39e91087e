// The packages, packed and used outside of the workspace: what is in them, and programs that run with them as they are
// installed, bundled by each bundler, and compiled with each version of the types.

import { existsSync } from 'node:fs';
import { cp, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { candidates } from '@overlapped/iocp-native';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundlers } from '../src/bundlers.js';
import {
  compile,
  fileOf,
  install,
  isResolvable,
  linkKoffi,
  linkTypes,
  makeFolder,
  PACKAGES,
  pack,
  print,
  removeFolder,
  unpack,
} from '../src/user.js';

const best = candidates().find(({ availability }) => availability.available)!.name;
const node = process.execPath;
const REMEDY = 'keep @overlapped/* and koffi external when you bundle (ENOTSUP, Worker)';
const served = (backend: string) => `backend: ${backend}\necho: served\nthreads: served\njobs: served\n`;

let folder: string;
let tarballs: Map<string, string>;

beforeAll(async () => {
  folder = await makeFolder();
  tarballs = await pack(folder);
  await unpack(tarballs, folder);
});

afterAll(() => removeFolder(folder));

describe('what is published', () => {
  test.each(PACKAGES)('%s says where it comes from, and how it is installed', async (name) => {
    const home = join(folder, 'node_modules/@overlapped', name);
    const manifest = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'));
    expect(manifest.repository).toEqual({
      type: 'git',
      url: 'git+https://github.com/overlapped-io/overlapped.git',
      directory: `packages/${name}`,
    });
    expect(manifest).toMatchObject({ homepage: expect.stringContaining(name), bugs: expect.any(String) });
    expect(manifest.keywords.length).toBeGreaterThan(3);
    const readme = await readFile(join(home, 'README.md'), 'utf8');
    expect(readme.includes(`npm install @overlapped/${name}`)).toBe(true);
    expect(readme.includes('allowBuilds: { koffi: false }')).toBe(true);
  });

  test.each(PACKAGES)('the declarations of %s hold nothing that is internal', async (name) => {
    const files = (await filesOf(name)).filter((file) => file.endsWith('.d.ts'));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect(await readFile(file, 'utf8'), file).not.toContain('@internal');
  });

  test.each(PACKAGES)('the source maps of %s name files that are there', async (name) => {
    const maps = (await filesOf(name)).filter((file) => file.endsWith('.map'));
    expect(maps.length).toBeGreaterThan(1);
    for (const file of maps) {
      const { sources, sourceRoot = '' } = JSON.parse(await readFile(file, 'utf8'));
      for (const source of sources) expect(existsSync(join(dirname(file), sourceRoot, source)), source).toBe(true);
    }
  });

  test('a stack names files of src', async () => {
    expect(await print(node, ['--enable-source-maps', 'stack.mjs'], folder)).toMatch(/net-core\/src\/core\.ts:\d+/);
  });
});

describe('installed', () => {
  test.each([...new Set([best, 'portable'])])('a program serves on %s', async (backend) => {
    expect(await print(node, ['program.mjs'], folder, { OVERLAPPED_BACKEND: backend })).toBe(served(backend));
  });

  // It takes the network, and a second or more.
  test.skipIf(!process.env.CI).each(['npm', 'pnpm'] as const)('by %s, a program serves', async (command) => {
    const home = join(folder, command);
    await install(command, tarballs, home);
    expect(await print(node, ['program.mjs'], home)).toBe(served(best));
  });

  const bun = '@oven/bun-linux-x64/bin/bun';
  // An optional dependency, for one system.
  test.skipIf(!isResolvable(bun))('Bun serves on portable, and says why', async () => {
    expect(await print(fileOf(bun), ['program.mjs'], folder, { OVERLAPPED_BACKEND: '' })).toBe(served('portable'));
    const reasons = await print(fileOf(bun), ['-e', REASONS], folder, { OVERLAPPED_BACKEND: '' });
    expect(reasons).toContain('it needs the event loop of Node.js, and this is Bun');
  });
});

describe('bundled', () => {
  describe.each(bundlers)('by $name', ({ name, file, bundle }) => {
    const out = join('out', name.replaceAll(' ', '-'));

    test('with the packages outside, a program serves', async () => {
      expect(await bundle(folder, join(out, 'external', file), true)).toEqual([]);
      expect(await print(node, [join(out, 'external', file)], folder)).toBe(served(best));
    });

    test('with the packages inside, a program serves, and threads fail with the remedy', async () => {
      // The bundle alone, as it would be deployed: webpack writes into it where the packages were.
      const [built, alone] = [await makeFolder(), await makeFolder()];
      try {
        await unpack(tarballs, built);
        expect(await bundle(built, join(out, file), false)).toEqual([]);
        await cp(join(built, out), alone, { recursive: true });
        await linkKoffi(alone);
        await removeFolder(built);
        const printed = await print(node, [join(alone, file)], alone, { OVERLAPPED_BACKEND: '' });
        const [backend, echo, threads, jobs] = printed.split('\n');
        expect(echo).toBe('echo: served');
        expect(jobs).toContain(REMEDY);
        // The portable backend has no threads: there the module runs on the core's own.
        if (backend === 'backend: portable') expect(threads).toBe('threads: served');
        else expect(threads).toContain(REMEDY);
      } finally {
        await removeFolder(built);
        await removeFolder(alone);
      }
    });
  });
});

describe('compiled, with every declaration checked', () => {
  const types = ['@types/node', 'types-node-22', 'types-node-24', 'types-node-26'];
  // More of them where there is time: TypeScript 5.7 takes ten times as long as 7.
  const few = [
    ['typescript', '@types/node'],
    ['typescript', 'types-node-26'],
  ];
  const oldest = [types[0], types.at(-1)].map((name) => ['typescript-5.7', name]);
  const all = [...types.map((name) => ['typescript', name]), ...oldest];

  test.each(process.env.CI ? all : few)(
    'by %s with %s',
    async (compiler, name) => {
      await linkTypes(name!, folder);
      expect(await compile(compiler!, name!, folder)).toBe('');
    },
    180_000,
  );
});

const REASONS = "import('@overlapped/iocp-native').then((p) => console.log(JSON.stringify(p.candidates())))";

function filesOf(name: string): Promise<string[]> {
  const home = join(folder, 'node_modules/@overlapped', name, 'dist');
  return readdir(home, { recursive: true }).then((files) => files.map((file) => join(home, file)));
}
