// Bundles of a program by each bundler, with and without the packages in them.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { build as esbuild } from 'esbuild';
import { rollup } from 'rollup';
import { build as vite } from 'vite';
import type { Configuration, Stats } from 'webpack';

// It is CommonJS, whose types are no function for us.
const webpack: (configuration: Configuration, done: (error: Error | null, stats?: Stats) => void) => void =
  createRequire(import.meta.url)('webpack');

/** What is not in a bundle unless it is to hold the packages. */
const EXTERNAL = [/^@overlapped\//, 'koffi'];

/** Makes `out`, in the folder of the program, and gives the warnings that a user would see. */
export type Bundler = (folder: string, out: string, external: boolean) => Promise<string[]>;

const withEsbuild =
  (format: 'esm' | 'cjs'): Bundler =>
  async (folder, out, external) => {
    const { warnings } = await esbuild({
      entryPoints: [join(folder, 'program.mjs')],
      outfile: join(folder, out),
      bundle: true,
      platform: 'node',
      format,
      ...(external && { packages: 'external' }),
      // Of a CommonJS bundle it says that there is no import.meta, which our code expects.
      logOverride: { 'empty-import-meta': 'silent' },
      logLevel: 'silent',
    });
    return warnings.map(({ text }) => text);
  };

const withRollup: Bundler = async (folder, out, external) => {
  const warnings: string[] = [];
  const bundle = await rollup({
    input: join(folder, 'program.mjs'),
    external: external ? EXTERNAL : /^node:/,
    plugins: [nodeResolve({ preferBuiltins: true })],
    onwarn: ({ message }) => warnings.push(message),
  });
  await bundle.write({ file: join(folder, out), format: 'es' });
  await bundle.close();
  return warnings;
};

const withVite: Bundler = async (folder, out, external) => {
  await vite({
    root: folder,
    configFile: false,
    logLevel: 'silent',
    build: {
      ssr: 'program.mjs',
      outDir: join(folder, out, '..'),
      emptyOutDir: false,
      rollupOptions: { output: { entryFileNames: '[name].mjs' } },
    },
    ssr: external ? {} : { noExternal: true },
  });
  return [];
};

const withWebpack: Bundler = (folder, out, external) =>
  new Promise((resolve, reject) => {
    const configuration: Configuration = {
      mode: 'production',
      target: 'node20',
      entry: join(folder, 'program.mjs'),
      experiments: { outputModule: true },
      // Minifying takes ten times as long as the rest.
      optimization: { minimize: false },
      externalsType: 'module',
      externals: external ? EXTERNAL : [],
      output: { path: join(folder, out, '..'), filename: 'program.mjs', module: true },
    };
    webpack(configuration, (error, stats) => {
      const { errors = [], warnings = [] } = stats?.toJson() ?? {};
      if (error || errors.length > 0) reject(error ?? new Error(errors.map(({ message }) => message).join('\n')));
      else resolve(warnings.map(({ message }) => message));
    });
  });

/** By name, and the file that each makes. */
export const bundlers: readonly { name: string; file: string; bundle: Bundler }[] = [
  { name: 'esbuild', file: 'program.mjs', bundle: withEsbuild('esm') },
  { name: 'esbuild as CommonJS', file: 'program.cjs', bundle: withEsbuild('cjs') },
  { name: 'Rollup', file: 'program.mjs', bundle: withRollup },
  { name: 'Vite', file: 'program.mjs', bundle: withVite },
  { name: 'webpack', file: 'program.mjs', bundle: withWebpack },
];
