// What every package's build has in common; a package adds its entries.
import type { Options } from 'tsup';

export function options(entry: Record<string, string>, more: Options = {}): Options {
  return {
    entry,
    format: ['esm'],
    target: 'node20',
    platform: 'node',
    removeNodeProtocol: false,
    splitting: true,
    sourcemap: true,
    // The maps name the files of src, which are published beside them.
    esbuildOptions: (esbuild) => {
      esbuild.sourcesContent = false;
    },
    clean: true,
    ...more,
  };
}
