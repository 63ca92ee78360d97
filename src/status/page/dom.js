// Building and updating elements. Nothing here, or anywhere on the page, makes HTML of a text.

/** An element with these attributes and children; a handler is an attribute whose name begins with `on`. */
export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** The same for SVG. */
export const svg = (name, attributes, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);

/** A text of others: it cannot turn the direction of what stands around it. */
export const foreign = (text) => el('bdi', null, text);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(9).filter((child) => child != null && child !== false));
  return element;
}

/** Makes the children of `parent` like `children`, and keeps every element that need not change. */
export function show(parent, ...children) {
  const fresh = document.createDocumentFragment();
  fresh.append(...children.flat(9).filter((child) => child != null && child !== false));
  matchChildren(parent, fresh);
}

function matchChildren(parent, fresh) {
  const old = [...parent.childNodes];
  const wanted = [...fresh.childNodes];
  wanted.forEach((child, at) => (old[at] ? match(old[at], child) : parent.append(child)));
  old.slice(wanted.length).forEach((child) => child.remove());
}

function match(node, fresh) {
  // It tells for a moment that it was pressed.
  if (node.dataset?.flash && node.nodeName === fresh.nodeName) return;
  const isSame = node.nodeName === fresh.nodeName && node.dataset?.key === fresh.dataset?.key;
  if (!isSame) return node.replaceWith(fresh);
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== fresh.data) node.data = fresh.data;
    return;
  }
  for (const { name } of [...node.attributes]) {
    // What a person has opened stays open.
    if (name !== 'open' && !fresh.hasAttribute(name)) node.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== 'open' && node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  // The answer under way writes into this one itself.
  if (!fresh.hasAttribute('data-own')) matchChildren(node, fresh);
}

const actions = new Map();

/** What a click on an element with `data-do` of this name does. */
export const on = (name, action) => actions.set(name, action);

document.addEventListener('click', (event) => {
  const target = event.target.closest?.('[data-do]');
  if (target) actions.get(target.dataset.do)?.(target);
});

/** A button; its action is found by its name, so it survives `show`. */
export const button = (text, action, attributes) => el('button', { type: 'button', 'data-do': action, ...attributes }, text);

/** Puts a text on the clipboard; plain HTTP beyond this machine has only the old way. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = el('textarea', { class: 'unseen', readonly: true });
    field.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
}
