// The views of schedules: when each fires, how its firings went stage by stage, and what can be
// done about it.

import { get, path, post } from './api.js';
import { button, code, h, link, p, part, soft, table } from './dom.js';
import { gate } from './learning.js';
import { act } from './talk.js';
import { at, count, many, now, percent, sealed, signed, span, state, version, years } from './words.js';

const OUTCOMES = {
  promoted: ['done', 'promoted'],
  refused: ['bad', 'refused by the gate'],
  unchanged: ['done', 'nothing new'],
  skipped: ['off', 'left out'],
  withdrawn: ['off', 'withdrawn'],
};
const hasFailed = ({ failures, retries, end }) => !end && failures.length > retries;

function nextStage(firing) {
  if (!firing.taken_in) return 'manifests are taken in';
  if (!firing.sealed) return 'features are made and sealed';
  if (!firing.trained) return 'the model is trained';
  return firing.decided ? 'it ends' : 'the gate decides';
}

function firingState(firing) {
  if (firing.end) return state(...OUTCOMES[firing.end.outcome]);
  if (hasFailed(firing)) return state('bad', `failed in ${firing.failures.at(-1).stage}: waits for a retry`);
  return state('work', `at work: ${nextStage(firing)}`);
}

const isPaused = ({ schedule }) => schedule.schedule.state === 'paused';
const scheduleState = (one) => (isPaused(one) ? state('off', 'paused') : state('done', 'active'));
const times = ({ cron, zone }) => [code(cron), ` ${zone}`];

/** When it fires next, in its zone and from now. */
function nextFiring(one) {
  if (one.next == null || isPaused(one)) return '–';
  return [one.next_local ?? at(one.next, one.schedule.schedule.zone), ` (in ${span(Math.max(0, one.next - now()))})`];
}

export const schedules = {
  title: () => 'Schedules',
  load: async () => (await get(path('schedules'))).schedules,
  draw(page) {
    const { data } = page;
    if (!data) return null;
    if (!data.length) {
      const example = '--cron "0 2 * * *" --tz Europe/Rome --source s3://bucket/manifests/ --dataset NAME --model age';
      return [
        p('There are no schedules yet. One that trains every night: '),
        p(code(`voxage schedule add nightly ${example}`)),
      ];
    }
    return [table('Schedules; times in the zone of each', data, (one) => one.schedule.name, [
      ['Schedule', ({ schedule: { name } }) => link(`#/schedules/${name}`, name)],
      ['State', scheduleState],
      ['When', (one) => times(one.schedule.schedule)],
      ['Next firing', nextFiring],
      ['Last firing', ({ last, schedule: { schedule: { zone } } }) =>
        (last ? [at(last.due, zone), ' ', firingState(last)] : 'none yet')],
      ['Action', (one) => pauseOrResume(page, one)],
    ])];
  },
};

export const schedule = {
  title: (name) => `Schedule ${name}`,
  async load({ name }) {
    const [all, past] = await Promise.all([get(path('schedules')), get(path('schedules', name, 'firings'))]);
    return { one: all.schedules.find((one) => one.schedule.name === name), firings: past.firings };
  },
  draw(page) {
    if (!page.data) return null;
    const { one, firings } = page.data;
    const zone = one?.schedule.schedule.zone ?? 'UTC';
    const [shown, more] = part(page, 'firings', firings, 30);
    return [
      one ? about(page, one, firings) : p(state('off', 'removed'), ': its firings stay'),
      h('h2', null, 'Firings, newest first'),
      firings.length ? shown.map((firing, i) => told(firing, zone, i === 0)) : p('It has not fired yet.'),
      more,
    ];
  },
};

const doing = (page, name, verb, words) => () => act(page, async () => {
  await post(path('schedules', name, verb));
  return words;
});

/** One button, so that whoever has pressed it stays on it. */
function pauseOrResume(page, one) {
  const { name } = one.schedule;
  const [words, verb, done] = isPaused(one)
    ? ['Resume', 'resume', `${name} fires again.`]
    : ['Pause', 'pause', `${name} is paused.`];
  return button(words, doing(page, name, verb, done), { 'aria-label': `${words} ${name}` });
}

function about(page, one, firings) {
  const { name, schedule: is } = one.schedule;
  const facts = {
    When: times(is),
    'Next firing': nextFiring(one),
    'Manifests from': [code(is.source), is.audio_root && [', audio from ', code(is.audio_root)]],
    'Into data set': link(`#/datasets/${is.dataset}`, is.dataset),
    Trains: [link('#/models', is.model), `: ${is.settings.architecture}, `,
      is.start === 'champion' ? 'from the champion’s weights' : 'from scratch'],
    Gate: [`RMSE less the champion’s below ${signed(is.gate.margin_years)} years beyond chance, `,
      `in no age band or gender above ${signed(is.gate.tolerance_years)}`],
    'A firing that was missed': is.missed === 'run' ? 'is run late' : 'is left out',
    'One while another is at work': is.overlap === 'queue' ? 'waits' : 'is left out',
  };
  return [
    p(scheduleState(one), isPaused(one) && ': it does not fire, and promotes nothing'),
    h('div', { class: 'actions' },
      pauseOrResume(page, one),
      !isPaused(one) && button('Run now', doing(page, name, 'run-now', `${name} fires now.`)),
      firings.some(hasFailed)
        && button('Retry what failed', doing(page, name, 'retry', 'It is tried again.'), { class: 'main' })),
    h('dl', null, Object.entries(facts).map(([name, words]) =>
      h('div', { key: name }, h('dt', null, name), h('dd', null, words)))),
  ];
}

/** A firing, stage by stage. */
function told(firing, zone, open) {
  const { claim, due } = firing;
  return h('details', { key: due, open },
    h('summary', null, at(due, zone), ' ', firingState(firing)),
    soft(claim.asked ? 'Asked for by hand' : 'Fired by the clock', `, taken up by ${claim.by}`,
      claim.missed > 0 && `; ${many(claim.missed, 'firing')} before it missed`,
      claim.skipped && `; left out: ${claim.skipped}`),
    h('ol', { class: 'events' }, events(firing).map(({ when, what, words }, i) =>
      h('li', { key: i }, at(when, zone), ' ', h('strong', null, what), ' ', words))));
}

function events({ taken_in, sealed: made, trained, decided, failures, end }) {
  const all = [];
  const add = (when, what, ...words) => all.push({ when, what, words });
  if (taken_in) {
    const { manifests, known, bad } = taken_in.done;
    const recordings = manifests.reduce((sum, one) => sum + one.recordings, 0);
    add(taken_in.at, 'taken in',
      `${many(manifests.length, 'new manifest')} with ${many(recordings, 'recording')}, ${count(known)} known`,
      manifests.length > 0 && h('ul', null, manifests.map((one) =>
        h('li', { key: one.batch }, code(one.path), ` as batch ${one.batch}`))));
    for (const why of bad) add(taken_in.at, 'left out', why);
  }
  if (made) {
    const { manifest, rows, rejects, drift } = made.done;
    add(made.at, 'sealed', sealed(manifest), `: ${many(rows, 'row')}, ${many(rejects, 'reject')}`);
    if (drift) add(made.at, 'drift', drifted(drift));
  }
  const model = version(trained?.done.model);
  if (trained) {
    const { run, rmse } = trained.done;
    add(trained.at, 'trained', `${model?.model}@${model?.number}: test RMSE ${years(rmse)} years, run `,
      link(`#/trainings/${run}`, run));
  }
  if (decided) add(decided.at, 'gate', gate(model?.model, decided.done));
  for (const { at: when, stage, why } of failures) add(when, 'failed', `in ${stage}: ${why}`);
  // The words of a decision stand above.
  if (end) add(end.at, OUTCOMES[end.outcome][1], !decided && end.words);
  return all.sort((a, b) => a.when - b.when);
}

function drifted({ columns, reject_rates: [before, after] }) {
  // As `voxage drift` warns.
  const moved = columns.filter(({ psi, chance }) => psi - chance > 0.2);
  const words = moved.map(({ name, psi }) => `${name} PSI ${years(psi)}`).join(', ') || 'no column moved beyond chance';
  return `since the champion’s data: rejects ${percent(after)} after ${percent(before)}; ${words}`;
}
