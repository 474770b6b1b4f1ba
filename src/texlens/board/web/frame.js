// What every page of the board does: language, theme, notices, and the start of the page's own part.
import { byId, make, switchTheme } from "./dom.js";
import { chooseLanguage, language, say, sayAll, word } from "./locales.js";
import { safelyWith } from "./requests.js";

const NOTICE_MS = 6000;
const NOTICES = "#notice, dialog[open] > .notice";
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
  clearNotices();
  const dialog = document.querySelector("dialog[open]");
  if (dialog) dialog.prepend(make("p", { class: "notice", role: "status" }));
  for (const notice of document.querySelectorAll(NOTICES)) {
    notice.append(say(make("span"), key, values), ...(detail ? [make("small", {}, detail)] : []));
    notice.classList.toggle("wrong", wrong);
    notice.onclick = clearNotices;
  }
  if (!wrong) timer = setTimeout(clearNotices, NOTICE_MS);
}

function clearNotices() {
  clearTimeout(timer);
  byId("notice").replaceChildren();
  document.querySelector("dialog > .notice")?.remove();
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
