// A curve as SVG, with its title, what it shows in words, and axes. Series differ by width,
// dashes and dots, not by colour alone; the numbers stand in a table beside it.

import { h } from './dom.js';

const [WIDTH, HEIGHT] = [420, 220];
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 12, 12, 38];
const MOST = 400;

/** A chart of series {kind, points: [[x, y]…]}; `mark` is a point {x, y, label}. */
export function chart({ id, title, desc, across, series, mark }) {
  const all = series.flatMap(({ points }) => points);
  const [x0, x1] = range(all.map(([x]) => x));
  const ticks = round(...range(all.map(([, y]) => y)));
  const [y0, y1] = [ticks[0], ticks.at(-1)];
  const x = (value) => LEFT + ((value - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
  const place = ([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`;
  const digits = Math.max(0, -Math.floor(Math.log10(ticks[1] - ticks[0])));
  const text = (at_x, at_y, anchor, words, kind) =>
    h('text', { class: kind, x: at_x, y: at_y, 'text-anchor': anchor }, words);
  const line = ({ kind, points }) => {
    const some = thinned(points);
    const dots = kind === 'strong' && some.length <= 60;
    return [
      h('polyline', { class: kind, points: some.map(place).join(' ') }),
      dots && some.map(([a, b]) => h('circle', { class: 'dot', cx: x(a).toFixed(1), cy: y(b).toFixed(1), r: 2.5 })),
    ];
  };
  return h('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-labelledby': `${id}-title ${id}-desc` },
    h('title', { id: `${id}-title` }, title),
    h('desc', { id: `${id}-desc` }, desc),
    ticks.map((tick) => [
      h('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
      text(LEFT - 6, y(tick) + 4, 'end', tick.toFixed(digits)),
    ]),
    [x0, x1].map((end, i) => text(x(end), HEIGHT - BOTTOM + 16, i ? 'end' : 'start', end.toLocaleString('en'))),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, 'middle', across, 'name'),
    series.map(line),
    mark && [
      h('circle', { class: 'mark', cx: x(mark.x), cy: y(mark.y), r: 6 }),
      // Above the curve's lowest point, and within the frame.
      text(Math.min(Math.max(x(mark.x), LEFT + 20), WIDTH - RIGHT - 20), y(mark.y) - 11, 'middle', mark.label, 'label'),
    ]);
}

function range(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}

/** Round numbers that hold a range, four to eight of them. */
function round(low, high) {
  const rough = (high - low) / 4;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * [1, 2, 5, 10].find((n) => n * size >= rough);
  const first = Math.floor(low / step);
  return Array.from({ length: Math.ceil(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

/** Means of neighbours, so that a long run is drawn as fast as a short one. */
function thinned(points) {
  const each = Math.ceil(points.length / MOST);
  if (each <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / each) }, (_, i) => {
    const some = points.slice(i * each, (i + 1) * each);
    return [0, 1].map((k) => some.reduce((sum, point) => sum + point[k], 0) / some.length);
  });
}
