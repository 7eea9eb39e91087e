// Functions of the document that the page's parts share.

/** An element that holds a text. */
export function text(tag: string, content = '', className = ''): HTMLElement {
  const element = document.createElement(tag);
  element.textContent = content;
  element.className = className;
  return element;
}

/** An element that the page has. */
export function byId(id: string): HTMLElement {
  return document.getElementById(id)!;
}

/** Puts a text into an element, unless it is there: the page is drawn many times a second. */
export function show(element: HTMLElement, content: string): void {
  if (element.textContent !== content) element.textContent = content;
}
