// Which program runs JavaScript. The native backends wait in libuv's event loop, by functions that Node.js exports; Bun ends
// the process at the first of them, and in Deno a port may never close.

/** Why no native backend can serve in this program; undefined for Node.js. */
export function otherRuntime(versions: Readonly<Record<string, string | undefined>> = process.versions) {
  const { bun, deno } = versions;
  const name = bun === undefined ? deno && `Deno ${deno}` : `Bun ${bun}`;
  return name && `it needs the event loop of Node.js, and this is ${name}`;
}
