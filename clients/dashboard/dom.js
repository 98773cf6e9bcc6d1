// Elements, and making what is on the page like what should be there.
//
// A view function builds the elements that it wants; `morphChildren` changes those on the page to match and keeps
// every element that stays, so that focus, selections and running animations survive. Elements with the same
// `data-key` are the same thing; others are matched by place and tag.

export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Text for screen readers alone.
export const unseen = (text) => h("span", { class: "unseen" }, text);

// Makes the children of `parent` like the `wanted` nodes. A wanted node that is a child already stays untouched.
export function morphChildren(parent, wanted) {
  const keys = new Set(wanted.map(keyOf));
  const keyed = new Map();
  for (const child of [...parent.childNodes]) {
    const key = keyOf(child);
    if (key !== null && keys.has(key)) keyed.set(key, child);
    else if (key !== null) child.remove();
  }
  let place = parent.firstChild;
  for (const node of wanted) {
    const key = keyOf(node);
    const match = key === null ? matching(place, node) : keyed.get(key);
    if (match === undefined) {
      parent.insertBefore(node, place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else parent.insertBefore(match, place);
    if (match !== node) morph(match, node);
  }
  while (place !== null) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function keyOf(node) {
  return node.dataset?.key ?? null;
}

function matching(place, node) {
  const alike = place !== null && keyOf(place) === null && place.nodeName === node.nodeName;
  return alike ? place : undefined;
}

function morph(old, wanted) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== wanted.data) old.data = wanted.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morphChildren(old, [...wanted.childNodes]);
}
