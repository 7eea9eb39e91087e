// Functions of the document that the page's parts share.

/** An element that holds a text. */
export function text(tag: string, content = ''): HTMLElement {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

/** A patch of a line's colour, cut as its dashes are. */
export function swatch(colour: string, dash = 0): HTMLElement {
  const element = document.createElement('i');
  element.dataset.dash = String(dash);
  element.style.background = colour;
  return element;
}

/** An element that the page has. */
export function byId(id: string): HTMLElement {
  return document.getElementById(id)!;
}

/** Puts a text where the page shows a figure. */
export function setFigure(name: string, content: string): HTMLElement {
  const element = document.querySelector<HTMLElement>(`[data-figure="${name}"]`)!;
  element.textContent = content;
  return element;
}
