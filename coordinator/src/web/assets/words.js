// Numbers, times and states as people read them, and the rate at which something goes on. "Now"
// is the coordinator's, whose clock may not be this machine's.

import { h } from './dom.js';

let ahead_s = 0;
export const setClock = (server_unix_s) => { ahead_s = server_unix_s - Date.now() / 1000; };
export const now = () => Date.now() / 1000 + ahead_s;

export const count = (n) => (n ?? 0).toLocaleString('en');
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;
export const years = (x) => (x == null ? '–' : x.toFixed(2));
export const signed = (x) => `${x < 0 ? '−' : '+'}${Math.abs(x).toFixed(2)}`;
export const percent = (x) => `${(100 * x).toFixed(1)} %`;

/** A span of time in its two largest units. */
export function span(s) {
  if (s < 90) return `${Math.round(s)} s`;
  const parts = [['d', 86400], ['h', 3600], ['min', 60]];
  const first = parts.findIndex(([, size]) => s >= size);
  let left = s;
  const said = parts.slice(first, first + 2).map(([unit, size]) => {
    const n = Math.floor(left / size);
    left -= n * size;
    return n > 0 ? `${n} ${unit}` : '';
  });
  return said.join(' ').trim();
}

const clocks = new Map();
function clock(zone) {
  if (!clocks.has(zone)) {
    const form = { dateStyle: 'short', timeStyle: 'short', timeZone: zone };
    clocks.set(zone, new Intl.DateTimeFormat('sv-SE', form));
  }
  return clocks.get(zone);
}

/** A time of day, in a zone or where the reader is. */
export function at(unix_s, zone) {
  const date = new Date(unix_s * 1000);
  return h('time', { datetime: date.toISOString() }, clock(zone).format(date));
}

export const ago = (unix_s) => `${span(Math.max(0, now() - unix_s))} ago`;

const SIGNS = { work: '●', done: '✓', bad: '✗', warn: '▲', wait: '○', off: '□' };
/** A state: a sign and words; the colour only repeats them. */
export const state = (kind, ...words) =>
  h('span', { class: `state ${kind}` }, h('span', { 'aria-hidden': 'true' }, SIGNS[kind]), '\u00a0', words);

/** How far something is, as a bar and in words. */
export function progress(label, done, total, words = `${count(done)} of ${count(total)}`) {
  const bar = h('progress', { max: total || 1, value: total ? done : 1, 'aria-label': label });
  return h('div', { class: 'progress' }, bar, h('span', null, words));
}

export const tile = (number, words, unit) =>
  h('div', { class: 'tile' }, h('b', null, number, unit && h('small', null, ` ${unit}`)), h('span', null, words));

/** `name@number` of the key of a model's version. */
export function version(key) {
  const found = /^models\/(.+)\/versions\/0*(\d+)\/?$/.exec(key ?? '');
  return found && { model: found[1], number: Number(found[2]) };
}

/** The number of a sealed manifest, and its data set, of its key. */
export function sealed(key) {
  const found = /^datasets\/(.+)\/manifests\/0*(\d+)\.json$/.exec(key ?? '');
  return found ? [h('a', { href: `#/datasets/${found[1]}` }, found[1]), ` version ${found[2]}`] : key;
}

/** How fast a number grows, over the last two minutes of looks. */
export class Pace {
  #looks = [];

  add(at_s, n) {
    const last = this.#looks.at(-1);
    if (last && n < last.n) this.#looks = [];
    if (!last || at_s > last.at_s) this.#looks.push({ at_s, n });
    while (this.#looks.length > 2 && this.#looks[1].at_s < at_s - 120) this.#looks.shift();
  }

  /** Units a second; null before that can be said. */
  get perSecond() {
    const [first, last] = [this.#looks[0], this.#looks.at(-1)];
    const passed_s = last ? last.at_s - first.at_s : 0;
    return passed_s < 5 ? null : (last.n - first.n) / passed_s;
  }

  get rate() {
    const each = this.perSecond;
    if (each === null) return 'measuring';
    const [n, unit] = [[each, 's'], [each * 60, 'min'], [each * 3600, 'h']].find(([some]) => some >= 1) ?? [each, 's'];
    return `${n.toLocaleString('en', { maximumFractionDigits: n < 10 ? 1 : 0 })}/${unit}`;
  }

  eta(left) {
    const each = this.perSecond;
    return each === null ? 'measuring' : each > 0 ? span(left / each) : 'stands still';
  }
}
