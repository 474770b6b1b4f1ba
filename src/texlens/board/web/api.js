// Requests to the board. What changes something carries the token, which the server put into the page.
import { known } from "./locales.js";

export const token = () => document.querySelector("meta[name=token]").content;

/** An answer that is an error: the key of its words, and the server's own line as detail. */
export class Refused extends Error {
  constructor(key, detail = "") {
    super(detail || key);
    [this.key, this.detail] = [key, detail];
  }
}

/** get("/api/runs", { since: 3 }) */
export async function get(path, values = {}, options = {}) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== undefined));
  return (await request(`${path}${query.size ? `?${query}` : ""}`, options)).json();
}

/** A JSON body, or a FormData for files. */
export async function post(path, body = {}, options = {}) {
  const isForm = body instanceof FormData;
  const headers = { "X-TexLens-Token": token(), ...(isForm ? {} : { "Content-Type": "application/json" }) };
  return (await request(path, { method: "POST", headers, body: isForm ? body : JSON.stringify(body), ...options })).json();
}

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("error.offline");
  }
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  const key = `error.${error?.code}`;
  throw new Refused(known(key) ? key : "error.other", error?.message ?? `HTTP ${answer.status}`);
}
