// Questions to the server. The token travels in a header, never in an address.

const KEPT = "softcam-token";

/** An answer that is not the wanted one; the message is the server's sentence. */
export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** Take the token out of the address that was printed at the start, where it stands behind #, and keep it for this tab. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  keepToken(token);
  history.replaceState(null, "", location.pathname);
}

export function keepToken(token) {
  sessionStorage.setItem(KEPT, token);
}

export const askSession = () => ask("GET", "/api/session");

/** Explain a source: a file of this machine, or a number in the folder. */
export const askExplain = (source, signal) => ask("POST", `${address(source)}/explain`, source.file, signal);

/** Decide again without the pixels below some cells; one list of ranges for each model. */
export function askVerify(source, erased, signal) {
  const query = new URLSearchParams(erased.map((ranges) => ["erased", ranges]));
  return ask("POST", `${address(source)}/verify?${query}`, source.file, signal);
}

const address = (source) => (source.file ? "/api" : `/api/folder/${source.index}`);

async function ask(method, path, body, signal) {
  const token = sessionStorage.getItem(KEPT);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body) headers["Content-Type"] = "application/octet-stream";
  let response;
  try {
    response = await fetch(path, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The viewer does not answer. Is it still running?");
  }
  const answer = await response.json().catch(() => ({ error: `The viewer answers ${response.status}.` }));
  if (!response.ok) throw new Refused(response.status, answer.error);
  return answer;
}
