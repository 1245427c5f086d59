// The views of work: data sets with their batches and rejects, who is at work, and dead letters.

import { get, path, post } from './api.js';
import { button, code, h, link, once, p, part, soft, table } from './dom.js';
import { act, ask } from './talk.js';
import { ago, at, count, many, percent, progress, state, tile } from './words.js';

const datasetLink = (name, words = name) => link(`#/datasets/${name}`, words);
const TYPES = { tsv: 'text/tab-separated-values', parquet: 'application/vnd.apache.parquet' };
const QUEUES = {
  tasks: 'tasks of what people submit',
  'tasks-scheduled': 'tasks of schedules',
  trainings: 'trainings',
  predictions: 'predictions',
};
const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);

function datasetState({ name, left, sealed, batches }, queue) {
  if (queue && Object.hasOwn(queue.troubles, name)) return state('bad', 'does not go on: ', queue.troubles[name]);
  if (batches.every((batch) => batch.state === 'cancelled')) return state('off', 'cancelled');
  if (left && queue && !queue.workers.length) return state('warn', 'waits: no feature worker is seen');
  if (left && queue?.dead && !queue.ready && !sum(queue.workers, (worker) => worker.tasks)) {
    return state('warn', 'stands still: ', link('#/dead', 'see dead letters'));
  }
  if (left) return state('work', 'features are being made');
  if (batches.some((batch) => batch.state === 'submitted')) {
    const alone = queue && !queue.coordinators.length;
    return state('wait', alone ? 'waits: no coordinator is seen' : 'a batch is being planned');
  }
  return sealed ? state('done', 'sealed') : state('work', 'is being sealed');
}

export const overview = {
  title: () => 'Overview',
  draw(page) {
    if (!page.overview) return null;
    const { datasets, damaged, queue } = page.overview;
    const [shown, more] = part(page, 'datasets', [...datasets].sort((a, b) => (b.left > 0) - (a.left > 0)));
    return [
      queue
        ? tiles(page, queue)
        : soft('Of workers nothing is known: the broker does not answer, or none is set (--queue).'),
      h('h2', null, 'Data sets'),
      Object.entries(damaged).map(([name, why]) =>
        h('p', { key: name, class: 'trouble' }, `${name} is damaged: ${why}`)),
      datasets.length
        ? table('Data sets, those at work first', shown, (one) => one.name, [
          ['Data set', ({ name }) => datasetLink(name)],
          ['Recordings done', ({ name, submitted, left }) =>
            progress(`Recordings of ${name} that are done`, submitted - left, submitted)],
          ['Rate', ({ name, left }) => (left ? page.pace(name).rate : '–'), 'n'],
          ['ETA', ({ name, left }) => (left ? page.pace(name).eta(left) : '–'), 'n'],
          ['Rejects', ({ rejects }) => count(rejects), 'n'],
          ['State', (one) => datasetState(one, queue)],
        ])
        : p('There is no data set yet: submit a batch below, or with ', code('voxage submit recordings.csv'), '.'),
      more,
      h('details', null, h('summary', null, 'Submit a batch'), submitForm(page)),
      queue && processes(queue),
    ];
  },
};

function tiles(page, { ready, dead, workers, coordinators, trainers }) {
  const [busy, slots] = [sum(workers, (one) => one.tasks), sum(workers, (one) => one.slots)];
  const audio = page.pace('audio').perSecond;
  return h('div', { class: 'tiles' },
    tile(count(ready), 'tasks wait in the queue'),
    tile(dead ? link('#/dead', count(dead)) : '0', 'dead letters'),
    tile(count(workers.length), `feature workers: ${many(busy, 'task')} in ${many(slots, 'slot')}`),
    tile(audio === null ? '–' : `${count(Math.round(audio))}×`, 'real time: audio that is extracted'),
    tile(count(coordinators.length), 'coordinators'),
    tile(count(trainers.length), `trainers, ${trainers.filter((one) => one.run).length} at work`));
}

function processes({ queues, workers, trainers, predictors, coordinators }) {
  const others = [
    ...trainers.map((one) => ({ ...one, role: 'trainer' })),
    ...predictors.map(({ process }) => ({ process, role: 'predictor' })),
    ...coordinators.map((process) => ({ process, role: 'coordinator' })),
  ];
  const doing = ({ role, run }) => {
    if (run) return ['run ', link(`#/trainings/${run}`, run)];
    return role === 'trainer' ? 'idle' : '–';
  };
  const none = (list, role, verb) => !list.length && p(`No ${role} is seen: start `, code(`voxage ${verb}`), '.');
  return [
    h('h2', null, 'Processes'),
    workers.length > 0 && table('Feature workers that are seen, since each started', workers, (one) => one.process, [
      ['Feature worker', ({ process }) => process],
      ['Tasks in hand', ({ tasks, slots }) => `${count(tasks)} in ${many(slots, 'slot')}`, 'n'],
      ['Recordings', ({ recordings }) => count(recordings), 'n'],
      ['Rejects', ({ rejects }) => count(rejects), 'n'],
      ['Audio', ({ audio_s }) => `${(audio_s / 3600).toFixed(2)} h`, 'n'],
    ]),
    none(workers, 'feature worker', 'feature-worker'),
    others.length > 0 && table('Other processes that are seen', others, (one) => one.process, [
      ['Process', ({ process }) => process], ['Role', ({ role }) => role], ['At work', doing],
    ]),
    none(trainers, 'trainer', 'trainer'),
    none(coordinators, 'coordinator', 'coordinator'),
    h('h2', null, 'Queues'),
    table('Messages in the queues', Object.entries(queues), ([name]) => name, [
      ['Queue', ([name]) => QUEUES[name] ?? name],
      ['Waiting', ([, { ready }]) => count(ready), 'n'],
      ['Dead letters', ([, { dead: aside }]) => count(aside), 'n'],
      ['Consumers', ([, { consumers }]) => count(consumers), 'n'],
    ]),
  ];
}

function submitForm(page, dataset) {
  const submit = (event) => {
    event.preventDefault();
    const form = event.target;
    once(form, () => act(page, async () => {
      const { manifest, name, root } = Object.fromEntries(new FormData(form));
      const type = TYPES[manifest.name.split('.').pop().toLowerCase()] ?? 'text/csv';
      const query = root ? `?audio_root=${encodeURIComponent(root)}` : '';
      const answer = await post(`${path('datasets', name, 'batches')}${query}`, manifest, type);
      form.reset();
      if (!answer.new) return `This manifest is batch ${answer.batch} already.`;
      const bad = answer.rejects ? `, ${count(answer.rejects)} of them cannot be recordings` : '';
      return `Batch ${answer.batch} is submitted: ${many(answer.recordings, 'recording')}${bad}.`;
    }));
  };
  const plain = { autocomplete: 'off', autocapitalize: 'none' };
  const rule = { pattern: '[a-z0-9][a-z0-9._\\-]{0,63}', title: '1 to 64 of a-z 0-9 . _ -' };
  return h('form', { class: 'submit', onsubmit: submit },
    h('label', null, 'Manifest (CSV or Parquet)',
      h('input', { type: 'file', name: 'manifest', accept: '.csv,.tsv,.parquet,text/csv', required: true })),
    dataset
      ? h('input', { type: 'hidden', name: 'name', value: dataset })
      : h('label', null, 'Data set',
        h('input', { name: 'name', required: true, ...rule, ...plain })),
    h('label', null, 'Audio root, that paths are relative to (empty: audio that was uploaded)',
      h('input', { name: 'root', placeholder: 's3://bucket/prefix/', ...plain })),
    h('button', { type: 'submit', class: 'main' }, 'Submit'));
}

export const dataset = {
  title: (name) => `Data set ${name}`,
  // Rejects are counted again when there are more or fewer of them.
  async load({ overview, name, own }) {
    const found = overview?.datasets.find((one) => one.name === name);
    if (!found || (found.rejects === own.rejects && !own.uncounted)) return null;
    const url = `${path('datasets', name, 'rejects')}?limit=1`;
    const { counts, uncounted } = found.rejects ? await get(url) : { counts: {}, uncounted: 0 };
    Object.assign(own, { rejects: found.rejects, uncounted });
    return { counts };
  },
  draw(page) {
    const { overview, name } = page;
    if (!overview) return null;
    const found = overview.datasets.find((one) => one.name === name);
    if (!found) {
      const why = Object.hasOwn(overview.damaged, name) ? overview.damaged[name] : null;
      return [p(why ? `It is damaged: ${why} ` : 'Nothing was submitted to it. ', link('#/', 'All data sets'))];
    }
    const { submitted, left, rows, rejects: rejected, spec, manifest } = found;
    const pace = page.pace(name);
    return [
      p(datasetState(found, overview.queue)),
      progress(`Recordings of ${name} that are done`, submitted - left, submitted,
        `${count(submitted - left)} of ${many(submitted, 'recording')}, ${percent(1 - left / (submitted || 1))}`),
      h('div', { class: 'tiles' },
        tile(left ? pace.rate : '–', 'rate: recordings, last two minutes'),
        tile(left ? pace.eta(left) : '–', 'ETA: until nothing is left'),
        tile(count(left), 'left'), tile(count(rows), 'rows with features'), tile(count(rejected), 'rejects')),
      soft('Spec ', code(spec), '; newest sealed manifest: ', manifest ? code(manifest) : 'none yet'),
      batches(page, found),
      rejects(page, found),
      h('h2', null, 'Submit a batch'),
      submitForm(page, name),
    ];
  },
};

function batches(page, { name, batches: all }) {
  const id = ({ number }) => `${name}@${number}`;
  const cancel = (batch) => () => act(page, async () => {
    const title = `Cancel batch ${id(batch)}?`;
    const text = [
      `What it added is no longer part of ${name}; recordings that earlier batches had come back as they were there.`,
    ];
    if (!await ask({ title, text, ok: 'Cancel the batch', danger: true })) return null;
    await post(path('datasets', name, 'batches', batch.number, 'cancel'));
    return `Batch ${id(batch)} is cancelled.`;
  });
  const told = ({ state: is, left, sealed }) => ({
    submitted: state('wait', 'waits for a coordinator'),
    running: left ? state('work', 'features are being made') : state('wait', 'waits for those before it'),
    done: state('done', sealed ? 'done, sealed' : 'done'),
    cancelled: state('off', 'cancelled'),
  })[is];
  const done = (batch) => (batch.state === 'running' || batch.state === 'done'
    ? progress(`Recordings of ${id(batch)} that are done`, batch.counting - batch.left, batch.counting) : '–');
  const [shown, more] = part(page, 'batches', [...all].reverse(), 20);
  return [
    h('h2', null, 'Batches'),
    table('Batches, newest first', shown, (batch) => batch.number, [
      ['Batch', id],
      ['State', told],
      ['In manifest', ({ recordings }) => count(recordings), 'n'],
      ['New or changed, done', done],
      ['Rate', (batch) => (batch.left ? page.pace(id(batch)).rate : '–'), 'n'],
      ['ETA', (batch) => (batch.left ? page.pace(id(batch)).eta(batch.left) : '–'), 'n'],
      ['Action', (batch) => batch.state !== 'cancelled'
        && button('Cancel…', cancel(batch), { 'aria-label': `Cancel batch ${id(batch)}` })],
    ]),
    more,
  ];
}

/** Rejects by reason: `stage/code`. The recordings behind one are asked for when it is opened. */
function rejects(page, { name, rejects: all }) {
  const load = (reason, again) => act({ refresh: page.redraw }, async () => {
    let { rows, next } = (!again && page.own[reason]) || { rows: [], next: null };
    const [before, [stage, which]] = [rows.length, reason.split('/')];
    // An answer is of some shards, which may have none of this reason.
    for (let i = 0; i < 20 && rows.length === before && (next || i === 0); i += 1) {
      const after = next ? `&after=${encodeURIComponent(next)}` : '';
      const got = await get(`${path('datasets', name, 'rejects')}?code=${encodeURIComponent(which)}&limit=50${after}`);
      rows = [...rows, ...got.rejects.filter((one) => one.stage === stage)];
      next = got.next;
    }
    page.own[reason] = { rows, next };
  });
  const recordings = (reason, n) => {
    const { rows, next } = page.own[reason];
    return [
      table(`Recordings that were rejected: ${reason}`, rows, (one) => one.id, [
        ['Recording', (one) => one.id], ['Path', (one) => code(one.path)], ['Why', (one) => one.message],
      ]),
      next ? p(button(`Show more (${count(n - rows.length)} left)`, () => load(reason)))
        : rows.length !== n && p(button('There are more or fewer meanwhile: load again', () => load(reason, true))),
    ];
  };
  const counts = Object.entries(page.data?.counts ?? {}).sort((a, b) => b[1] - a[1]);
  const list = counts.map(([reason, n]) =>
    h('details', { key: reason, ontoggle: ({ target }) => target.open && !page.own[reason] && load(reason) },
      h('summary', null, code(reason), `: ${many(n, 'recording')}, ${percent(n / all)} of the rejects`),
      page.own[reason] ? recordings(reason, n) : soft('Loading…')));
  return [
    h('h2', null, 'Rejects by reason'),
    all ? list : p('No recording was rejected.'),
    page.own.uncounted > 0 && soft(`${count(page.own.uncounted)} more are being counted.`),
    all > 0 && soft(code(`voxage rejects ${name} --out rejects.csv`), ' writes down all of them. ',
      'A recording that is mended and submitted again is done again.'),
  ];
}

export const dead = {
  title: () => 'Dead letters',
  load: () => get(path('dead')),
  draw(page) {
    if (!page.data) return null;
    const reasons = new Map();
    const { dead: letters, total } = page.data;
    for (const letter of letters) reasons.set(letter.reason, [...(reasons.get(letter.reason) ?? []), letter]);
    const [shown, more] = part(page, 'reasons', [...reasons], 20);
    return [
      !reasons.size && p('No task was put aside.'),
      soft('Tasks that were put aside: they failed for good, or time after time. Mend the cause, then requeue them: ',
        'workers try again. One whose shard is there meanwhile can be dropped.'),
      total > letters.length && p(`Of ${count(total)}, the first ${count(letters.length)} are listed.`),
      shown.map(([reason, some]) => group(page, reason, some)),
      more,
    ];
  },
};

function group(page, reason, letters) {
  const settle = (verb, some) => () => act(page, async () => {
    const which = many(some.length, 'dead letter');
    const text = 'Their tasks are forgotten. Coordinators hand out tasks again for shards that are still missing.';
    const sure = { title: `Drop ${which}?`, text: [text], ok: `Drop ${which}`, danger: true };
    if (verb === 'drop' && !await ask(sure)) return null;
    // Of a task that cannot be read no shard is known.
    const body = some.every(({ shard }) => shard) ? { shards: some.map(({ shard }) => shard) } : { reason };
    const { tasks } = await post(path('dead', verb), body);
    return `${many(tasks, 'task')} ${verb === 'drop' ? 'dropped' : 'handed out again'}.`;
  });
  const both = (letter) => letter.shard !== '' && h('div', { class: 'actions' },
    button('Requeue', settle('requeue', [letter]), { 'aria-label': `Requeue shard ${letter.shard}` }),
    button('Drop…', settle('drop', [letter]), { 'aria-label': `Drop shard ${letter.shard}` }));
  const all = letters.length > 1 ? ` all ${count(letters.length)}` : '';
  const [shown, more] = part(page, reason, letters, 20);
  // Two data sets may have the same shard, and two coordinators hand it out in the same second.
  const times = new Map();
  const keys = new Map(letters.map((letter) => {
    const key = `${letter.batch}/${letter.shard}/${letter.at_unix_s}`;
    times.set(key, (times.get(key) ?? 0) + 1);
    return [letter, `${key}/${times.get(key)}`];
  }));
  return h('section', { key: reason },
    h('h2', null, many(letters.length, 'dead letter')),
    p(reason),
    (letters.length > 1 || !letters[0].shard) && h('div', { class: 'actions' },
      button(`Requeue${all}`, settle('requeue', letters), { class: 'main' }),
      button(`Drop${all}…`, settle('drop', letters))),
    table('Dead letters of this reason', shown, (letter) => keys.get(letter), [
      ['Shard', ({ shard }) => code(shard ? shard.slice(0, 12) : 'cannot be read')],
      ['Batch', ({ shard, batch }) => (shard ? datasetLink(batch.split('@')[0], batch) : '–')],
      ['Recordings', ({ recordings, ids }) => (ids?.length
        ? h('details', null, h('summary', null, count(recordings)), p(ids.join(', '))) : count(recordings))],
      ['Put aside', ({ at_unix_s }) => (at_unix_s ? [at(at_unix_s), ` (${ago(at_unix_s)})`] : '–')],
      ['Action', both],
    ]),
    more);
}
