// Builds the site into docs/api: the pages of docs/, and those of the API, from the docstrings of what the packages export. Fails when a public name has
// none, when one names a type that is not exported, or when a link leads nowhere. A folder may be given in the place of docs/api.

import { fileURLToPath } from 'node:url';
import { Application, Comment, Converter, ReflectionKind } from 'typedoc';

/** Numbers that carry the names of the kernels' headers are documented there. */
const HEADERS = [
  [/\/win32\/(constants|layout)\.ts$/, 'As in the headers of the Windows SDK.'],
  [/\/linux\/layout\.ts$/, 'As in linux/io_uring.h and the headers of the C library.'],
];

const options = fileURLToPath(new URL('../typedoc.json', import.meta.url));
const app = await Application.bootstrapWithPlugins({ options });
app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => documentHeaders(project));
const project = await app.convert();
if (project) {
  // What must be exported is asked of one package at a time.
  for (const name of app.options.getValue('packagesRequiringDocumentation')) {
    project.packageName = name;
    app.validate(project);
  }
  if (process.argv[2] === undefined) await app.generateOutputs(project);
  else await app.generateDocs(project, process.argv[2]);
}
if (app.logger.hasErrors() || app.logger.hasWarnings()) process.exitCode = 1;

function documentHeaders(project) {
  for (const reflection of project.getReflectionsByKind(ReflectionKind.Variable | ReflectionKind.Property)) {
    const file = reflection.sources?.[0]?.fullFileName.replaceAll('\\', '/') ?? '';
    const text = HEADERS.find(([path]) => path.test(file))?.[1];
    if (text !== undefined) reflection.comment ??= new Comment([{ kind: 'text', text }]);
  }
}
