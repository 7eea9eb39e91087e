// A chart of groups of bars, as SVG. Each group has its own scale: its tallest bar is as tall as the chart.

export interface Group {
  readonly title: string;
  readonly bars: readonly { readonly label: string; readonly value: number }[];
}

const BAR = 44;
const GAP = 10;
const GROUP_GAP = 40;
const HEIGHT = 160;
const TOP = 52;
const BOTTOM = 46;
const LEFT = 20;

/** @param axis what the labels below the bars are */
export function chart(title: string, axis: string, groups: readonly Group[]): string {
  const parts: string[] = [];
  let x = LEFT;
  for (const { title: name, bars } of groups) {
    const most = Math.max(...bars.map(({ value }) => value));
    const width = bars.length * (BAR + GAP) - GAP;
    for (const [i, { label, value }] of bars.entries()) {
      const height = Math.max(1, Math.round((value / most) * HEIGHT));
      const left = x + i * (BAR + GAP);
      const top = TOP + HEIGHT - height;
      const middle = left + BAR / 2;
      parts.push(`<rect x="${left}" y="${top}" width="${BAR}" height="${height}"/>`);
      parts.push(text(middle, top - 4, Math.round(value).toLocaleString('en')));
      parts.push(text(middle, TOP + HEIGHT + 16, label));
    }
    parts.push(text(x + width / 2, TOP + HEIGHT + 36, name));
    x += width + GROUP_GAP;
  }
  const width = x - GROUP_GAP + LEFT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${TOP + HEIGHT + BOTTOM}" role="img">`,
    `<title>${title}</title>`,
    '<style>text{font:11px sans-serif;text-anchor:middle;fill:#444}rect{fill:#3b7dd8}',
    '@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>',
    text(width / 2, 18, `${title}; below each bar: ${axis}`),
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function text(x: number, y: number, words: string): string {
  return `<text x="${x}" y="${y}">${words}</text>`;
}
