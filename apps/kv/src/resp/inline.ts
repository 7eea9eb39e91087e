// Inline requests: a line of words, as a person types them into telnet. Words may be quoted, as in a shell.

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };
/** Characters between words. */
const SPACE = /[ \t\n\v\f\r]/;
/** Characters that end a word without quotes. */
const END_OF_WORD = /[ \t\n\r]/;

/** The words of a line, or null when a quote has no end. Characters stand for bytes. */
export function splitInline(line: string): string[] | null {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && SPACE.test(line[at]!)) at++;
    if (at >= line.length) return words;
    let word = '';
    while (at < line.length && !END_OF_WORD.test(line[at]!)) {
      const quote = line[at]!;
      if (quote !== '"' && quote !== "'") {
        word += quote;
        at++;
        continue;
      }
      const quoted = quote === '"' ? readDouble(line, at + 1) : readSingle(line, at + 1);
      if (quoted === null) return null;
      word += quoted.text;
      at = quoted.end;
      // A closing quote ends its word.
      if (at < line.length && !SPACE.test(line[at]!)) return null;
      break;
    }
    words.push(word);
  }
}

interface Quoted {
  readonly text: string;
  /** After the closing quote. */
  readonly end: number;
}

function readDouble(line: string, start: number): Quoted | null {
  let text = '';
  for (let at = start; at < line.length; at++) {
    const char = line[at]!;
    if (char === '"') return { text, end: at + 1 };
    const next = line[at + 1];
    if (char !== '\\' || next === undefined) {
      text += char;
      continue;
    }
    const hex = /^x([0-9a-f]{2})/i.exec(line.slice(at + 1, at + 4))?.[1];
    text += hex === undefined ? (ESCAPES[next] ?? next) : String.fromCharCode(Number.parseInt(hex, 16));
    at += hex === undefined ? 1 : 3;
  }
  return null;
}

function readSingle(line: string, start: number): Quoted | null {
  let text = '';
  for (let at = start; at < line.length; at++) {
    if (line[at] === "'") return { text, end: at + 1 };
    if (line[at] === '\\' && line[at + 1] === "'") at++;
    text += line[at];
  }
  return null;
}
