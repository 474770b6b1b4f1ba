// Requests to a page's server, and how their errors and others reach the reader.
import { known } from "./locales.js";

/** An error for the reader: a key of the texts with its values, and a line of detail. */
export class Refused extends Error {
  constructor(key, values = {}, detail = "") {
    super(detail || key);
    Object.assign(this, { key, values, detail });
  }
}

/** A good answer; `failure` makes the error of another one. */
export async function request(path, options, failure = refusal) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("error.offline");
  }
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  throw failure(error, answer);
}

/** The words of an error, and the server's own English message as detail. */
export function refusal(error, answer) {
  const key = `error.${error?.code}`;
  return new Refused(known(key) ? key : "error.other", {}, error?.message ?? `HTTP ${answer.status}`);
}

/** safelyWith(show)(action) is an action whose errors are shown. */
export const safelyWith =
  (show) =>
  (action) =>
  async (...values) => {
    try {
      return await action(...values);
    } catch (error) {
      if (error.name === "AbortError") return null;
      if (!(error instanceof Refused)) console.error(error);
      show(error);
      return null;
    }
  };
