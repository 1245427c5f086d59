// What the page says to a person, and what it asks: one line of notice, which is also read out,
// and one dialog for tokens and for what cannot be taken back.

import { fill, h } from './dom.js';

const place = (id) => document.getElementById(id);
let hiding;

/** Says that something was done, or, until it is closed, that it failed. */
export const say = (words, failed = false) => notice(failed ? '' : words, failed ? `✗ ${words}` : '');
export const unsay = () => notice('', '');

function notice(done, failed) {
  clearTimeout(hiding);
  place('said').textContent = done;
  place('failed').textContent = failed;
  // It stays in the page, unseen: what is only shown with its words may not be read out.
  place('notice').className = `notice${failed && ' bad'}${done || failed ? '' : ' empty'}`;
  place('notice-close').hidden = !done && !failed;
  if (done) hiding = setTimeout(unsay, 8000);
}

/** Asks; gives what was typed (or true, where there is nothing to type), null if not wanted. */
export function ask({ title, text, field, ok, danger }) {
  const dialog = place('dialog');
  const close = (answer) => () => dialog.close(answer);
  const submit = (event) => {
    event.preventDefault();
    dialog.close(field ? new FormData(event.target).get('answer') : 'yes');
  };
  dialog.replaceChildren();
  dialog.returnValue = '';
  fill(dialog, [
    h('form', { onsubmit: submit },
      h('h2', { id: 'dialog-title' }, title),
      text.filter(Boolean).map((line) => h('p', null, line)),
      field && h('label', null, field, h('input', {
        name: 'answer', type: 'password', autocomplete: 'off', required: true, autofocus: true,
      })),
      h('div', { class: 'actions' },
        h('button', { type: 'submit', class: danger ? 'danger' : 'main' }, ok),
        // What destroys is not what Enter does at once.
        h('button', { type: 'button', onclick: close(''), autofocus: !field }, 'Cancel'))),
  ]);
  dialog.showModal();
  return new Promise((done) => {
    dialog.onclose = () => done(field ? dialog.returnValue || null : dialog.returnValue === 'yes' || null);
  });
}

/** Does something, says what came of it (if anything), and looks again. */
export async function act(page, work) {
  try {
    const words = await work();
    if (words) say(words);
  } catch (error) {
    say(error.message, true);
  }
  await page.refresh();
}
