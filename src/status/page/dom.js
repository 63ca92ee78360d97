// Building and updating elements. Nothing on the page makes HTML of a text.

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
    else if (value != null && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(9).filter((it) => it != null && it !== false));
  return element;
}

/** Makes the children of `parent` like `children`, and keeps what need not change. */
export function show(parent, ...children) {
  matchChildren(parent, fill(document.createDocumentFragment(), null, children));
}

function matchChildren(parent, fresh) {
  const old = [...parent.childNodes];
  const wanted = [...fresh.childNodes];
  wanted.forEach((child, at) => (old[at] ? match(old[at], child) : parent.append(child)));
  old.slice(wanted.length).forEach((child) => child.remove());
}

function match(node, fresh) {
  if (node.nodeName !== fresh.nodeName || node.dataset?.key !== fresh.dataset?.key) return node.replaceWith(fresh);
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== fresh.data) node.data = fresh.data;
    return;
  }
  // For a moment it tells that it was pressed.
  if (node.dataset.flash) return;
  // What a person has opened stays open.
  const names = [...node.getAttributeNames(), ...fresh.getAttributeNames()].filter((name) => name !== 'open');
  for (const name of names) {
    const value = fresh.getAttribute(name);
    if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  // An answer draws itself.
  if (!fresh.hasAttribute('data-own')) matchChildren(node, fresh);
}

const actions = new Map();

/** What a click on an element does whose `data-do` is `name`. */
export const on = (name, action) => actions.set(name, action);

document.addEventListener('click', ({ target }) => {
  const pressed = target.closest('[data-do]');
  actions.get(pressed?.dataset.do)?.(pressed);
});

/** A button for an action; found by its name, so it survives `show`. */
export const button = (text, action, attributes) => el('button', { type: 'button', 'data-do': action, ...attributes }, text);

/** Puts a text on the clipboard. Without TLS only this machine has the new way. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = el('textarea', { class: 'unseen' });
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}
