// The coordinator's HTTP API: JSON in and out. Whoever changes something needs the token; it
// comes with the URL that the coordinator logs (#token=…), or is asked for, and is kept for
// this tab alone.

import { ask } from './talk.js';

const TOKEN = 'voxage.token';

/** What was escaped in a URL; as it is, if it was not. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Takes the token out of the URL, if there is one. */
export function takeToken() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return;
  sessionStorage.setItem(TOKEN, decoded(found[1]));
  history.replaceState(null, '', `${location.pathname}#/`);
}

/** A path of the API: each part is escaped. */
export const path = (...parts) => `/api/v1/${parts.map(encodeURIComponent).join('/')}`;

export const get = (url) => answered(fetch(url, { signal: AbortSignal.timeout(45_000) }));

/** Posts JSON, a file, or nothing; asks for the token as long as it is not the right one. */
export async function post(url, body, type = 'application/json') {
  for (;;) {
    const headers = {};
    const token = sessionStorage.getItem(TOKEN);
    if (token) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = type;
    const content = body === undefined || body instanceof Blob ? body : JSON.stringify(body);
    try {
      return await answered(fetch(url, { method: 'POST', headers, body: content }));
    } catch (error) {
      if (error.status !== 401) throw error;
      const given = await ask({
        title: 'Authorization',
        text: [
          token && 'The coordinator does not know this token.',
          'Whoever changes something needs the token of the coordinator: its setting api_token, or what '
            + 'stands behind #token= in the URL that it logs at its start.',
        ],
        field: 'Token',
        ok: 'Use this token',
      });
      if (!given) throw new Error('Nothing was changed: a token is needed.');
      sessionStorage.setItem(TOKEN, given);
    }
  }
}

async function answered(fetching) {
  let response;
  try {
    response = await fetching;
  } catch (error) {
    const late = error.name === 'TimeoutError';
    throw new Error(late ? 'The coordinator takes too long to answer.' : 'The coordinator does not answer.');
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const why = answer.error?.message ?? `${response.status} ${response.statusText}`;
  throw Object.assign(new Error(why), { status: response.status, code: answer.error?.code });
}
