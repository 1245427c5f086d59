// The views of learning: trainings with their curves, and models with their champions.

import { get, path, post } from './api.js';
import { button, code, h, link, p, part, soft, table } from './dom.js';
import { chart } from './plot.js';
import { act, ask } from './talk.js';
import { ago, at, count, many, now, percent, progress, sealed, signed, state, tile, version, years } from './words.js';

const runLink = (run) => link(`#/trainings/${run}`, run);
/** What is fitted at once, without steps. */
const isFitted = ({ settings }) => ['gp', 'ridge', 'trees'].includes(settings.architecture);
const architecture = ({ blend, settings }) => (blend?.length ? `blend of ${blend.length}` : settings.architecture);
const epochsOf = ({ run, request, last }) => progress(`Epochs of run ${run}`, last.epoch, request.settings.epochs,
  `epoch ${last.epoch} of ${request.settings.epochs} at most`);

function runState(run, queue) {
  if (run.result) return state('done', 'trained');
  if (run.failed) return state('bad', 'failed');
  const speaks = run.last && !run.left && now() - run.last.at_unix_s < 60;
  if (speaks || queue?.trainers.some((one) => one.run === run.run)) return state('work', 'at work');
  if (run.left) return state('warn', 'stopped');
  return run.last
    ? state('warn', `silent: its last step was ${ago(run.last.at_unix_s)}`)
    : state('wait', 'waits, or is at its first steps');
}

export const trainings = {
  title: () => 'Trainings',
  load: async () => (await get(path('runs'))).runs,
  draw(page) {
    const { data, overview } = page;
    if (!data) return null;
    if (!data.length) {
      return [p('There are no trainings yet: ', code('voxage train --dataset NAME'), ' starts one, a schedule many.')];
    }
    const lone = overview?.queue?.trainers.length === 0 && data.some((run) => !run.result && !run.failed);
    const far = (run) => {
      if (!run.result) return run.last && !run.failed ? epochsOf(run) : '–';
      return isFitted(run.request) ? 'fitted at once' : many(run.result.epochs, 'epoch');
    };
    const [shown, more] = part(page, 'runs', data);
    return [
      lone && h('p', { class: 'trouble' }, 'No trainer is seen: start ', code('voxage trainer'), '.'),
      table('Runs, newest first; RMSE in years', shown, ({ run }) => run, [
        ['Run', ({ run }) => runLink(run)],
        ['State', (run) => runState(run, overview?.queue)],
        ['Model', ({ request }) => (request.fold ? 'part of a study' : request.model)],
        ['Architecture', ({ request }) => architecture(request)],
        ['Data set', ({ request }) => sealed(request.manifest)],
        ['Progress', far],
        ['Validation RMSE', ({ result }) => years(result?.validation_rmse), 'n'],
        ['Test RMSE', ({ result }) => years(result?.evaluation.test.rmse), 'n'],
      ]),
      more,
    ];
  },
};

export const training = {
  title: (name) => `Training ${name}`,
  load: ({ name }) => get(path('runs', name)),
  draw(page) {
    if (!page.data) return null;
    const { run, metrics } = page.data;
    const { request, result, last, failed, left, checkpoint } = run;
    const made = version(result?.model);
    const lines = metrics.filter((metric) => !metric.epoch_end);
    const epochs = metrics.filter((metric) => metric.epoch_end);
    const scored = epochs.filter((metric) => metric.stopping_rmse != null);
    const best = scored.reduce((a, b) => (a && a.stopping_rmse <= b.stopping_rmse ? a : b), null);
    const newest = lines.at(-1) ?? last;
    const test = result?.evaluation.test;
    return [
      p(runState(run, page.overview?.queue), failed && `: ${failed}`,
        !result && !failed && left && ': asked for again, it goes on from its checkpoint'),
      p(`${architecture(request)}, model ${request.model}, on `, sealed(request.manifest), '. ',
        made && ['It made ', link('#/models', `${made.model}@${made.number}`), ' (', reportLink(made), ').']),
      !result && last && epochsOf(run),
      h('div', { class: 'tiles' },
        newest && tile(years(newest.loss), `loss at step ${count(newest.step)}`),
        result?.validation_rmse != null
          ? tile(years(result.validation_rmse), `best validation RMSE, epoch ${result.best_epoch}`, 'years')
          : best && tile(years(best.stopping_rmse), `best validation RMSE, epoch ${best.epoch}`, 'years'),
        test && tile(years(test.rmse), `test RMSE; mean age: ${years(test.baseline.rmse)}`, 'years'),
        newest && tile(count(Math.round(newest.samples_per_s)), 'samples a second'),
        newest?.loader_wait != null && tile(percent(newest.loader_wait), 'of the time it waited for data'),
        checkpoint != null && tile(count(checkpoint), 'step of the newest checkpoint')),
      metrics.length ? curves(page, lines, epochs, scored, best)
        : soft(isFitted(request)
          ? `${request.settings.architecture} is fitted at once: it takes no steps, so there are no curves.`
          : 'No metrics were written yet.'),
      h('details', null, h('summary', null, 'Settings'),
        table('Settings of the training', Object.entries(request.settings), ([name]) => name, [
          ['Setting', ([name]) => name], ['Value', ([, value]) => code(JSON.stringify(value))],
        ])),
    ];
  },
};

function curves(page, lines, epochs, scored, best) {
  const points = (list, of) => list.filter((metric) => metric[of] != null).map((metric) => [metric.step, metric[of]]);
  const [steps, means, errors] = [points(lines, 'loss'), points(epochs, 'loss'), points(scored, 'stopping_rmse')];
  const words = (what, list) => {
    const [[from, first], [to, newest]] = [list[0] ?? [], list.at(-1) ?? []];
    return list.length ? `${what} from ${years(first)} at step ${from} to ${years(newest)} at step ${to}.` : '';
  };
  const figure = (title, note, plot) => h('figure', null,
    h('h2', null, title), h('figcaption', null, note),
    plot.series.some((one) => one.points.length)
      ? chart({ title, across: 'step', ...plot }) : soft('Not known before the end of the first epoch.'));
  const [shown, more] = part(page, 'epochs', [...epochs].reverse());
  return [
    h('div', { class: 'grid2' },
      figure('Loss', 'Thin: every line of metrics. Thick: the mean of an epoch.', {
        id: 'loss',
        desc: words('Training loss', means.length ? means : steps),
        series: [{ kind: 'faint', points: steps }, { kind: 'strong', points: means }],
      }),
      figure('Validation RMSE in years', 'On the split that stops the training. Ring: the best epoch.', {
        id: 'rmse',
        desc: words('Validation RMSE', errors),
        series: [{ kind: 'strong', points: errors }],
        mark: best && { x: best.step, y: best.stopping_rmse, label: years(best.stopping_rmse) },
      })),
    h('details', null, h('summary', null, 'The numbers as a table'),
      table('Epochs, newest first', shown, ({ epoch }) => epoch, [
        ['Epoch', ({ epoch }) => epoch],
        ['Step', ({ step }) => count(step), 'n'],
        ['Loss', ({ loss }) => loss?.toFixed(4) ?? '–', 'n'],
        ['Validation RMSE', ({ stopping_rmse }) => years(stopping_rmse), 'n'],
        ['Samples a second', ({ samples_per_s }) => count(Math.round(samples_per_s)), 'n'],
        ['When', ({ at_unix_s }) => at(at_unix_s)],
      ]),
      more),
  ];
}

const fileOf = ({ model, number }, file) => `/models/${encodeURIComponent(model)}/${number}/${file}`;
const reportLink = (one) => link(fileOf(one, 'report'), `report of ${one.model}@${one.number}`);

export const models = {
  title: () => 'Models',
  async load() {
    const all = (await get(path('models'))).models;
    const names = [...new Set(all.map((one) => one.model))];
    const histories = await Promise.all(names.map((name) => get(path('models', name, 'history'))));
    return names.map((name, i) => ({
      name,
      versions: all.filter((one) => one.model === name).sort((a, b) => b.number - a.number),
      promotions: [...histories[i].promotions].reverse(),
    }));
  },
  draw(page) {
    if (!page.data) return null;
    if (!page.data.length) return [p('There are no models yet: ', code('voxage train --dataset NAME'), ' makes one.')];
    return page.data.map((model) => h('section', { key: model.name }, oneModel(page, model)));
  },
};

function oneModel(page, { name, versions, promotions }) {
  const champion = versions.find((one) => one.champion);
  const id = ({ number }) => `${name}@${number}`;
  const scores = ({ card }) => card.evaluation.test;
  const [shown, more] = part(page, `versions of ${name}`, versions, 20);
  return [
    h('h2', null, `Model ${name}`),
    champion
      ? h('div', { class: 'tiles' },
        tile(id(champion), 'champion: it predicts'),
        tile(years(scores(champion).rmse), `test RMSE; mean age: ${years(scores(champion).baseline.rmse)}`, 'years'),
        tile(years(scores(champion).mae), `MAE over ${many(scores(champion).n, 'recording')}`, 'years'),
        tile(scores(champion).pearson?.toFixed(2) ?? '–', 'Pearson’s r'))
      : p(`It has no champion: its newest version, ${id(versions[0])}, predicts until one is promoted.`),
    table(`Versions of ${name}, newest first; errors in years on held-out speakers`, shown, ({ number }) => number, [
      ['Version', (one) => [id(one), one.champion && [' ', state('done', 'champion')]]],
      ['Architecture', ({ card }) => card.settings.architecture],
      ['Trained on', ({ card }) => sealed(card.manifest)],
      ['Recordings', (one) => count(scores(one).n), 'n'],
      ['RMSE', (one) => years(scores(one).rmse), 'n'],
      ['MAE', (one) => years(scores(one).mae), 'n'],
      ['More', (one) => [
        reportLink(one), h('br'), link(fileOf(one, 'card'), 'model card'), h('br'), 'run ', runLink(one.card.run),
      ]],
      ['Action', (one) => !one.champion
        && button('Promote…', () => promote(page, name, one.number), { 'aria-label': `Promote ${id(one)}` })],
    ]),
    more,
    h('h3', null, 'Champions, newest first'),
    promotions.length > 1
      && p(button('Roll back…', () => rollBack(page, name), { 'aria-label': `Roll ${name} back` })),
    promotions.length
      ? h('ol', { class: 'events' }, promotions.map((one, i) =>
        h('li', { key: promotions.length - i }, promotion(name, one, i === 0))))
      : soft('None was promoted yet.'),
  ];
}

function promotion(name, { version: number, at_unix_s, reason, decision }, inForce) {
  const how = {
    gate: 'promoted by a schedule',
    hand: `promoted by hand, ${decision ? 'through' : 'without'} the gate`,
    rollback: 'champion again, by a rollback',
  };
  return [
    h('strong', null, `${name}@${number}`), ` ${how[reason]}, `, at(at_unix_s),
    inForce && [' ', state('done', 'in force')],
    decision && gate(name, decision),
  ];
}

/** What the gate looked at, with its numbers. */
export function gate(name, { candidate, champion, difference, promote: yes, checks }) {
  const other = champion == null ? 'the mean age' : `${name}@${champion}`;
  return h('div', { class: 'gate' },
    p(state(yes ? 'done' : 'bad', `the gate says ${yes ? 'yes' : 'no'}`),
      difference && [`: RMSE of ${name}@${candidate} less that of ${other}: ${signed(difference.value)} years, `,
        `95 % within ${signed(difference.low)} and ${signed(difference.high)}`]),
    h('ul', null, checks.map((check) => h('li', { key: check.name },
      state(check.passed ? 'done' : 'bad', check.passed ? 'passed' : 'failed'), ' ',
      h('strong', null, check.name), `: ${check.words}`))));
}

const promote = (page, name, number) => act(page, async () => {
  const id = `${name}@${number}`;
  const send = (force) => post(path('models', name, 'promote'), { version: number, force });
  const text = `The gate compares it with the champion. If it lets it pass, ${id} predicts from then on.`;
  if (!await ask({ title: `Promote ${id}?`, text: [text], ok: 'Ask the gate and promote' })) return null;
  let no = [];
  try {
    const answer = await send(false);
    if (answer.promoted !== false) return `${id} is the champion.`;
    no = answer.decision.checks.filter((check) => !check.passed).map((check) => check.words);
  } catch (error) {
    // The gate cannot compare them.
    if (error.status !== 409) throw error;
    no = [error.message];
  }
  const again = { title: `Promote ${id} all the same?`, text: ['It was not promoted:', ...no] };
  if (!await ask({ ...again, ok: 'Promote without the gate', danger: true })) return `${id} was not promoted.`;
  await send(true);
  return `${id} is the champion.`;
});

const rollBack = (page, name) => act(page, async () => {
  const text = 'The champion of before becomes the champion again. What is rolled back is promoted again only by hand.';
  if (!await ask({ title: `Roll ${name} back?`, text: [text], ok: 'Roll back', danger: true })) return null;
  const { promotion: now_in_force } = await post(path('models', name, 'rollback'));
  return `${name}@${now_in_force.version} is the champion again.`;
});
