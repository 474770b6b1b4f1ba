// What the page asks of its server.
import { Refused } from "./picture.js";
import { known } from "./locales.js";

const MOST_TRIES = 6;
const LONGEST_WAIT_S = 60;

export async function models() {
  return (await (await asked("/v1/models")).json()).data;
}

/** { svg, mathml, problem } of a formula. */
export async function render(latex, signal) {
  const headers = { "Content-Type": "application/json" };
  return (await asked("/ui/render", { method: "POST", headers, body: JSON.stringify({ latex }), signal })).json();
}

/** The reading of docs/serve/api.md; `onToken` hears each token as it comes, `onWait` the seconds until the next try. */
export async function read(picture, model, { signal, onToken, onWait }) {
  for (let tries = 1; ; tries += 1) {
    const form = new FormData();
    form.append("file", picture.blob, "image");
    form.append("model", model);
    form.append("stream", "true");
    try {
      return await streamed(await asked("/v1/read", { method: "POST", body: form, signal }), onToken);
    } catch (failure) {
      if (!failure.retryAfter || tries === MOST_TRIES) throw failure;
      await waited(Math.min(failure.retryAfter, LONGEST_WAIT_S), signal, onWait);
    }
  }
}

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("error.offline");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const failure = refusal(told.error, answer.status);
  if (answer.status === 429) failure.retryAfter = Number(answer.headers.get("Retry-After")) || 2;
  throw failure;
}

function refusal(error, status) {
  const key = `error.${error?.code}`;
  return new Refused(known(key) ? key : "error.other", {}, error?.message ?? `HTTP ${status}`);
}

async function streamed(answer, onToken) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Refused("error.offline");
    });
    text += value ?? "";
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const told = JSON.parse(event.replace(/^data: /, ""));
      if (told.error) throw refusal(told.error);
      if (told.done) return told.done;
      onToken(told);
    }
    if (done) throw new Refused("error.offline");
  }
}

async function waited(seconds, signal, onWait) {
  for (let left = seconds; left > 0; left -= 1) {
    onWait(left);
    await new Promise((resolve, reject) => {
      const stopped = () => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stopped);
        resolve();
      }, 1000);
      signal?.addEventListener("abort", stopped, { once: true });
    });
  }
}
