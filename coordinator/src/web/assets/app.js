// Puts the page together: which view the URL names, asking the coordinator again and again
// while the tab is looked at, and drawing what came. A view is {title, load, draw}: `load`
// gives its own details, `draw` describes it (dom.js) from them and the overview.

import { decoded, get, path, takeToken } from './api.js';
import { fill, h, link, p, soft } from './dom.js';
import { models, training, trainings } from './learning.js';
import { schedule, schedules } from './schedules.js';
import { say, unsay } from './talk.js';
import { Pace, count, many, setClock, span } from './words.js';
import { dataset, dead, overview } from './work.js';

const OVERVIEW_MS = 2000;
const DETAILS_MS = 4000;
/** An answer that takes longer lets people know. */
const LATE_MS = 5000;
const VIEWS = {
  '': overview, 'datasets/': dataset, dead,
  trainings, 'trainings/': training, models, schedules, 'schedules/': schedule,
};

const main = document.getElementById('main');
// When the coordinator was asked and did answer, of this machine's clock, and why it did not.
const heard = { asked_ms: null, answered_ms: Date.now(), why: null };
const paces = new Map();
let seen = null;
let page = null;

/** The page that the URL names. What it knows lasts as long as it is open. */
function opened() {
  const [where, name] = location.hash.replace(/^#\//, '').split('/');
  const route = name === undefined ? where : `${where}/`;
  const view = Object.hasOwn(VIEWS, route) ? VIEWS[route] : undefined;
  const opening = { view, name: decoded(name ?? ''), where: where || 'datasets', own: {}, data: null, error: null };
  opening.redraw = () => opening === page && draw();
  opening.refresh = () => Promise.all([lookOver(), lookCloser()]);
  return opening;
}

function draw() {
  const { view } = page;
  const title = view?.title(page.name) ?? 'No such page';
  document.title = `${title} · voxage`;
  const focused = document.activeElement;
  page.overview = seen;
  page.pace = (key) => paces.get(key) ?? new Pace();
  fill(main, [
    h('h1', { tabindex: '-1' }, title),
    page.error && h('p', { class: 'trouble' }, page.error),
    view ? view.draw(page) ?? (!page.error && soft('Loading…')) : p(link('#/', 'Overview')),
  ]);
  // What was in hand may be gone, such as a dead letter that was handed out.
  if (focused && focused !== document.body && !focused.isConnected) main.querySelector('h1').focus();
}

/** Goes where the URL says. */
function go(first) {
  takeToken();
  page = opened();
  for (const one of document.querySelectorAll('nav a')) {
    if (one.dataset.view === page.where) one.setAttribute('aria-current', 'page');
    else one.removeAttribute('aria-current');
  }
  fill(main, []);
  draw();
  if (!first) {
    scrollTo(0, 0);
    main.querySelector('h1').focus();
  }
  return lookCloser();
}

const lookOver = again(OVERVIEW_MS, async () => {
  heard.asked_ms = Date.now();
  try {
    const answer = await get(path('overview'));
    setClock(answer.at_unix_s);
    tellChanges(seen, answer);
    measure(answer);
    seen = answer;
    Object.assign(heard, { answered_ms: Date.now(), why: null });
    document.getElementById('dead').textContent = answer.queue?.dead ? ` (${count(answer.queue.dead)})` : '';
  } catch (error) {
    heard.why = error.message;
  }
  heard.asked_ms = null;
  banner();
  draw();
});

const lookCloser = again(DETAILS_MS, async () => {
  const asking = page;
  if (!asking.view?.load) return;
  try {
    asking.data = await asking.view.load(asking) ?? asking.data;
    asking.error = null;
  } catch (error) {
    // Of a lost coordinator the banner speaks.
    asking.error = error.status ? error.message : asking.error;
  }
  asking.redraw();
});

/** A function that does a work now, and again each so many ms while the tab is looked at. */
function again(every_ms, work) {
  let timer;
  let running = null;
  const turn = async () => {
    clearTimeout(timer);
    // What is under way may have asked before the change that somebody wants to see.
    await running?.catch(() => {});
    try {
      running = document.hidden ? null : work();
      await running;
    } finally {
      running = null;
      clearTimeout(timer);
      timer = setTimeout(turn, every_ms);
    }
  };
  document.addEventListener('visibilitychange', () => document.hidden || turn());
  return turn;
}

function measure({ datasets, queue, at_unix_s }) {
  const add = (key, n) => {
    if (!paces.has(key)) paces.set(key, new Pace());
    paces.get(key).add(at_unix_s, n);
  };
  for (const { name, submitted, left, batches } of datasets) {
    add(name, submitted - left);
    for (const batch of batches) add(`${name}@${batch.number}`, batch.counting - batch.left);
  }
  if (queue) add('audio', queue.workers.reduce((sum, worker) => sum + worker.audio_s, 0));
}

/** Says what a person would want to hear of without looking. */
function tellChanges(before, after) {
  if (!before) return;
  if (heard.why) say('The coordinator answers again.');
  const more = (after.queue?.dead ?? 0) - (before.queue?.dead ?? 0);
  if (more > 0) say(`${many(more, 'more dead letter')}.`);
  for (const { name, sealed } of after.datasets) {
    if (sealed && before.datasets.some((one) => one.name === name && !one.sealed)) say(`${name} is sealed.`);
  }
}

function banner() {
  const late = heard.asked_ms && Date.now() - heard.asked_ms > LATE_MS;
  if (late) heard.why = 'The coordinator takes long to answer: it may not reach its store.';
  document.getElementById('lost').hidden = !heard.why;
  const words = document.getElementById('lost-words');
  // Said again each second, it would be read out each second.
  if (words.textContent !== (heard.why ?? '')) words.textContent = heard.why ?? '';
  const since = span((Date.now() - heard.answered_ms) / 1000);
  document.getElementById('lost-since').textContent = seen
    ? `Last answer ${since} ago; what is shown is from then. It is asked again and again.`
    : `Nothing was heard for ${since}. It is asked again and again.`;
}

document.getElementById('skip').onclick = (event) => {
  event.preventDefault();
  main.focus();
};
document.getElementById('notice-close').onclick = () => {
  unsay();
  main.querySelector('h1').focus({ preventScroll: true });
};
addEventListener('hashchange', () => go(false));
setInterval(banner, 1000);
go(true);
lookOver().then(lookCloser);
