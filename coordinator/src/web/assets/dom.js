// Elements from descriptions: `h` describes one, `fill` makes the children of a node be what is
// described and changes nothing else, so that focus, scroll, opened <details> and what somebody
// types outlive every poll. All text becomes text nodes: nothing here reads HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** Describes an element. `on…` are handlers; `key` tells an element from others of its list;
 *  `open` says how it begins. */
export const h = (tag, attrs, ...kids) => ({ tag, attrs: attrs ?? {}, kids });

/** Makes the children of a node be what is described. */
export function fill(parent, kids) {
  const wanted = keyed(kids, '', new Map());
  const there = new Map();
  for (const node of [...parent.childNodes]) {
    if (wanted.has(node.$key)) there.set(node.$key, node);
    else node.remove();
  }
  let at = parent.firstChild;
  for (const [key, kid] of wanted) {
    const node = there.get(key) ?? made(kid, parent);
    node.$key = key;
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
    update(node, kid);
  }
}

// Places among siblings name a child, keys one of a list: what is not there (null, false) moves
// nothing else.
function keyed(kids, prefix, all) {
  kids.forEach((kid, i) => {
    const key = `${prefix}/${kid?.attrs?.key ?? i}`;
    if (Array.isArray(kid)) keyed(kid, key, all);
    else if (kid != null && kid !== false) all.set(`${key}:${kid.tag ?? ''}`, kid);
  });
  return all;
}

function made(kid, parent) {
  if (!kid.tag) return document.createTextNode('');
  const inSvg = kid.tag === 'svg' || parent.namespaceURI === SVG;
  return inSvg ? document.createElementNS(SVG, kid.tag) : document.createElement(kid.tag);
}

function update(node, kid) {
  if (!kid.tag) {
    if (node.data !== String(kid)) node.data = String(kid);
    return;
  }
  const before = node.$attrs ?? {};
  for (const name of Object.keys({ ...before, ...kid.attrs })) {
    const value = kid.attrs[name];
    if (name.startsWith('on')) node[name] = value ?? null;
    else if (name === 'key' || value === before[name] || (name === 'open' && node.$attrs)) continue;
    else if (value == null || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.$attrs = kid.attrs;
  fill(node, kid.kids);
}

/** A button that does one thing at a time. */
export const button = (label, run, attrs) =>
  h('button', { type: 'button', ...attrs, onclick: (event) => once(event.currentTarget, run) }, label);

/** Does something unless the element that asks for it is at it. */
export async function once(element, run) {
  if (element.ariaBusy === 'true') return;
  element.ariaBusy = 'true';
  try {
    await run();
  } finally {
    element.ariaBusy = null;
  }
}

export const p = (...kids) => h('p', null, ...kids);
export const soft = (...kids) => h('p', { class: 'soft' }, ...kids);
export const code = (...kids) => h('code', null, ...kids);
export const link = (to, words) => h('a', { href: to }, words);

/** A table: each column is [its name, what it says of a row, 'n' if that is a number]. On a
 *  narrow screen rows become cards (style.css), for which roles and labels are said twice. */
export function table(caption, rows, key, columns) {
  const head = ([name, , kind]) => h('th', { role: 'columnheader', scope: 'col', class: kind }, name);
  const cell = (row) => ([name, said, kind], i) => {
    const content = said(row);
    const attrs = { class: kind, 'data-label': name, role: i ? 'cell' : 'rowheader', scope: i ? null : 'row' };
    return h(i ? 'td' : 'th', attrs, content != null && content !== false && h('div', null, content));
  };
  return h('table', { role: 'table' },
    h('caption', null, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map(head))),
    h('tbody', { role: 'rowgroup' },
      rows.map((row) => h('tr', { key: key(row), role: 'row' }, columns.map(cell(row))))));
}

/** The first of a long list, and the button that shows more of it. */
export function part(page, name, list, size = 50) {
  const shown = page.own[name] ?? size;
  const more = () => {
    page.own[name] = shown + size;
    page.redraw();
  };
  const left = list.length - shown;
  return [list.slice(0, shown), left > 0 && p(button(`Show more (${left} left)`, more))];
}
