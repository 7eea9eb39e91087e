// Builds the site into docs/api: the pages of docs/, and those of the API, from the docstrings of the packages' exports. Fails when a
// public name has none, when one names a type that is not exported, or when a link leads nowhere. Another folder may be given.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { renderMermaidSVG } from 'beautiful-mermaid';
import { Application, Comment, Converter, MarkdownEvent, ReflectionKind, RendererEvent } from 'typedoc';

/** Numbers that carry the names of the kernels' headers are documented there. */
const HEADERS = [
  [/\/win32\/(constants|layout)\.ts$/, 'As in the headers of the Windows SDK.'],
  [/\/linux\/layout\.ts$/, 'As in linux/io_uring.h and the headers of the C library.'],
];

/** The groups of the list of pages, by the folder of a page. */
const GROUPS = {
  'docs/guide/en/': 'The guide',
  'docs/guide/ko/': '가이드',
  'docs/': 'Documents',
  'packages/': 'Packages',
};

searchAnyLanguage();
const options = fileURLToPath(new URL('../typedoc.json', import.meta.url));
const app = await Application.bootstrapWithPlugins({ options });
app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
  documentHeaders(project);
  groupPages(project);
});
app.renderer.on(RendererEvent.BEGIN, ({ project }) => nameByHeading(project));
app.renderer.on(MarkdownEvent.PARSE, draw, 1000);
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

/** lunr is the index of the search. Its own trimmer keeps only letters of ASCII, so no Korean word would be in the index. */
function searchAnyLanguage() {
  const lunr = createRequire(fileURLToPath(import.meta.resolve('typedoc')))('lunr');
  const trim = (text) => text.replace(/^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu, '');
  lunr.trimmer = (token) => token.update(trim);
  lunr.Pipeline.registerFunction(lunr.trimmer, 'unicode-trimmer');
}

function groupPages(project) {
  for (const page of project.documents) {
    page.frontmatter.group = Object.entries(GROUPS).find(([folder]) => page.name.startsWith(folder))[1];
  }
}

/** Lists, titles and the search show a page by its heading. Its address, which comes from its file, is given by now. */
function nameByHeading(project) {
  for (const page of project.documents) {
    page.name = /^# (.+)$/m.exec(Comment.combineDisplayParts(page.content))[1];
  }
}

/** Drawings in Mermaid become pictures, in the page's own colours, light or dark. */
function draw(event) {
  event.parsedText = event.parsedText.replace(/^```mermaid\n([\s\S]*?)^```$/gm, (_, code) => {
    const svg = renderMermaidSVG(code, { bg: 'var(--color-background)', fg: 'var(--color-text)' });
    // The site loads nothing from elsewhere. An empty line would end the HTML block.
    const own = svg.replace(/@import url\([^)]*\);/, '').replace(/\n\s*\n/g, '\n');
    return `<div class="drawing">${own}</div>`;
  });
}
