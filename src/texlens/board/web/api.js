// Requests to the board. What changes something carries the token, which the server put into the page.
import { language } from "./locales.js";
import { request } from "./requests.js";

export const token = () => document.querySelector("meta[name=token]").content;

/** The server's own messages come in the page's language. */
const inLanguage = () => ({ "Accept-Language": language() });

/** get("/api/runs", { since: 3 }) */
export async function get(path, values = {}, options = {}) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== undefined));
  return (await request(`${path}${query.size ? `?${query}` : ""}`, { headers: inLanguage(), ...options })).json();
}

/** A JSON body, or a FormData for files. */
export async function post(path, body = {}, options = {}) {
  const isForm = body instanceof FormData;
  const headers = { "X-TexLens-Token": token(), ...inLanguage(), ...(isForm ? {} : { "Content-Type": "application/json" }) };
  return (await request(path, { method: "POST", headers, body: isForm ? body : JSON.stringify(body), ...options })).json();
}
