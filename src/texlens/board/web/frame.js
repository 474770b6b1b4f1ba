// What every page of the board does: language, theme, notices, and the start of the page's own part.
import { byId, make, switchTheme } from "./dom.js";
import { chooseLanguage, language, say, sayAll, word } from "./locales.js";
import { safelyWith } from "./requests.js";

const NOTICE_MS = 6000;
let timer;

/** start("runs", async (main) => …) builds the page into `main`; `redraw` is called when the language changes. */
export function start(name, build, redraw = () => {}) {
  const main = byId("page");
  byId("theme").addEventListener("click", switchTheme);
  byId("language").addEventListener("click", () => {
    chooseLanguage(language() === "en" ? "zh" : "en");
    sayLanguage(name);
    redraw();
  });
  sayLanguage(name);
  safely(build)(main).finally(() => {
    sayAll();
    document.documentElement.dataset.ready = "yes";
  });
}

function sayLanguage(name) {
  const other = language() === "en" ? ["中文", "zh"] : ["English", "en"];
  [byId("language").textContent, byId("language").lang] = other;
  document.title = `${word(`nav.${name}`)} · TexLens`;
  sayAll();
}

/** A line above the page, and in an open dialog, which would hide it: good news goes away after a while, a problem stays
 * until the next notice or a click on it. */
export function notify(key, values = {}, { detail = "", wrong = false } = {}) {
  const lines = () => [say(make("span"), key, values), ...(detail ? [make("small", {}, detail)] : [])];
  const notice = byId("notice");
  notice.replaceChildren(...lines());
  notice.classList.toggle("wrong", wrong);
  notice.onclick = clearNotices;
  document.querySelector("dialog[open] > .notice")?.remove();
  const inDialog = make("p", { class: wrong ? "notice wrong" : "notice", role: "status" }, ...lines());
  document.querySelector("dialog[open]")?.prepend(inDialog);
  clearTimeout(timer);
  if (!wrong) timer = setTimeout(clearNotices, NOTICE_MS);
}

function clearNotices() {
  byId("notice").replaceChildren();
  document.querySelector("dialog[open] > .notice")?.remove();
}

/** Wraps an action, so that every error is shown. */
export const safely = safelyWith((error) =>
  notify(error.key ?? "error.other", error.values ?? {}, { detail: error.detail ?? String(error.message), wrong: true })
);

/** Calls `action` now and every `seconds` while the page is visible; returns a function that ends it. */
export function every(seconds, action) {
  let ended = false;
  const turn = async () => {
    if (ended) return;
    if (document.visibilityState === "visible") await safely(action)();
    setTimeout(turn, seconds * 1000);
  };
  turn();
  return () => {
    ended = true;
  };
}
