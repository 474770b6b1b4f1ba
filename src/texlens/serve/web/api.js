// Requests to the page's server.
import { language } from "./locales.js";
import { Refused, refusal, request } from "./requests.js";

const MAX_TRIES = 6;
const MAX_WAIT_S = 60;

export async function models() {
  return (await (await send("/v1/models")).json()).data;
}

/** { svg, mathml, problem } of a formula. */
export async function render(latex, signal) {
  const headers = { "Content-Type": "application/json" };
  return (await send("/ui/render", { method: "POST", headers, body: JSON.stringify({ latex }), signal })).json();
}

/** { steps, image } of a picture as a model reads it: `image` is the base64 of a PNG, null where nothing changes. */
export async function prepared(picture, model) {
  const form = new FormData();
  form.append("file", picture.blob, "image");
  form.append("model", model);
  return (await send("/v1/prepared", { method: "POST", body: form })).json();
}

/** The answer of docs/reference/http-api.md.
 * `options` are further fields, `onToken` gets each token, `onWait` the seconds until the next try. */
export async function read(picture, model, options, { signal, onToken, onWait }) {
  for (let tries = 1; ; tries += 1) {
    const form = new FormData();
    form.append("file", picture.blob, "image");
    form.append("model", model);
    form.append("stream", "true");
    for (const [name, value] of Object.entries(options)) form.append(name, value);
    try {
      return await readStream(await send("/v1/read", { method: "POST", body: form, signal }), onToken);
    } catch (failure) {
      if (!failure.retryAfter || tries === MAX_TRIES) throw failure;
      await wait(Math.min(failure.retryAfter, MAX_WAIT_S), signal, onWait);
    }
  }
}

const send = (path, options) => request(path, options, refused);

/** The server's message is left out where other words say as much, unless they are English too. */
function refused(error, answer) {
  const failure = refusal(error, answer);
  if (failure.key !== "error.other") {
    failure.values = { field: error.param ?? "" };
    if (language() !== "en" && error.code !== "invalid_value") failure.detail = "";
  }
  if (answer?.status === 429) failure.retryAfter = Number(answer.headers.get("Retry-After")) || 2;
  return failure;
}

async function readStream(answer, onToken) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Refused("error.offline");
    });
    text += value ?? "";
    const events = text.split("\n\n");
    text = events.pop();
    for (const line of events) {
      const event = JSON.parse(line.replace(/^data: /, ""));
      if (event.error) throw refused(event.error);
      if (event.done) return event.done;
      onToken(event);
    }
    if (done) throw new Refused("error.offline");
  }
}

async function wait(seconds, signal, onWait) {
  for (let remaining = seconds; remaining > 0; remaining -= 1) {
    onWait(remaining);
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
