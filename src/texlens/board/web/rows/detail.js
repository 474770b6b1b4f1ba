// One row: picture, label with a live drawing, mark, exclusion, history, duplicates beside it, tokens.
import { get, post } from "../api.js";
import { make } from "../dom.js";
import { showFormula } from "../formula.js";
import { safely } from "../frame.js";
import { label, say, word } from "../locales.js";
import { whoField } from "../who_field.js";
import { badges, formulaBox } from "./list.js";

const TYPING_MS = 150;

/** Opens the dialog on the row at `path`; `onChange`, `onStep(±1)` and `onOpen(row)` are the page's. */
export async function openDetail(dialog, path, page) {
  draw(dialog, path, await get(path), page);
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("textarea").focus();
}

function draw(dialog, path, row, page) {
  const text = make("textarea", { rows: 4, spellcheck: "false", autocomplete: "off" });
  text.value = row.text;
  label(text, "data.label");
  const drawing = make("div", { class: "formula live" });
  live(text, drawing);
  const send = (kind, values) =>
    safely(async () => {
      const expected = { label: row.label, exclude: row.excluded, mark: row.mark }[kind];
      const changed = await post(`${page.source}/edit`, { split: row.split, row: row.row, kind, expected, who: who.value, ...values });
      draw(dialog, path, { ...changed, beside: row.beside }, page);
      await page.onChange();
    })();
  /** Asks for a word first; a question that is cancelled changes nothing. */
  const ask = (kind, key, initial = "") => {
    const answer = prompt(word(key), initial);
    return answer === null ? null : send(kind, { new: answer || initial });
  };
  const save = () => send("label", { new: text.value });
  const who = whoField();
  dialog.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    else if (event.altKey && event.key === "ArrowDown") page.onStep(1);
    else if (event.altKey && event.key === "ArrowUp") page.onStep(-1);
    else return;
    event.preventDefault();
  };
  dialog.replaceChildren(
    make(
      "div",
      { class: "detail-head" },
      make("h2", {}, `${row.split} ${row.row}`),
      make("span", { class: "small" }, row.where),
      make("span", { class: "badges" }, ...badges(row)),
      button("data.close", () => dialog.close(), "plain")
    ),
    make(
      "div",
      { class: "pair" },
      make("div", { class: "picture" }, make("img", { src: `${path}/image`, alt: "" })),
      make("div", {}, drawing, text)
    ),
    make(
      "div",
      { class: "actions" },
      button("data.save", save, "primary"),
      row.label === null ? "" : button("data.own-label", () => send("label", { new: null }), "plain"),
      row.excluded === null
        ? button("data.exclude", () => ask("exclude", "data.why"), "plain")
        : button("data.include", () => send("exclude", { new: null }), "plain"),
      row.mark === null
        ? button("data.mark", () => ask("mark", "data.mark.word", "?"), "plain")
        : button("data.unmark", () => send("mark", { new: null }), "plain"),
      button("data.tokens", () => showTokens(dialog, path), "plain"),
      who
    ),
    ...row.badges.map((badge) => make("p", { class: "reason" }, `${badge.kind}: ${badge.reason}; ${badge.remedy}`)),
    ...(row.label === null ? [] : [say(make("p", { class: "small" }), "data.source-label"), make("code", { class: "tokens" }, row.source_text)]),
    besideList(row, page),
    historyList(row),
    make("div", { class: "token-view" })
  );
}

function live(text, drawing) {
  let timer;
  let last = 0;
  const show = safely(async () => {
    const turn = ++last;
    const formula = await post("/api/render", { latex: text.value });
    if (turn === last) showFormula(drawing, formula);
  });
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, TYPING_MS);
  });
  show();
}

function button(key, action, kind) {
  const node = say(make("button", { type: "button", class: kind }), key);
  node.addEventListener("click", action);
  return node;
}

function besideList(row, page) {
  if (!row.beside?.length) return "";
  const others = row.beside.map((other) => {
    const open = make(
      "button",
      { type: "button", class: "row-entry" },
      make("span", { class: "picture" }, make("img", { src: `${page.source}/${encodeURIComponent(other.split)}/${other.row}/image`, alt: "" })),
      make("span", { class: "row-text" }, make("span", { class: "small" }, `${other.split} ${other.row}`), formulaBox(other.text), make("code", { class: "tokens" }, other.text))
    );
    open.addEventListener("click", () => page.onOpen(other));
    return open;
  });
  return make("section", {}, say(make("h3"), "data.beside"), make("div", { class: "beside" }, ...others));
}

function historyList(row) {
  if (!row.history?.length) return "";
  const items = row.history.map((edit) => {
    const values = make("span", {}, make("code", {}, edit.old ?? "–"), " → ", make("code", {}, edit.new ?? "–"));
    return make("li", {}, make("span", { class: "small" }, `${edit.number} · ${edit.when} · ${edit.who} · ${edit.kind} `), values, edit.note ? ` (${edit.note})` : "");
  });
  return make("section", { class: "history" }, say(make("h3"), "data.history"), make("ol", {}, ...items));
}

const showTokens = safely(async (dialog, path) => {
  const box = dialog.querySelector(".token-view");
  say(box, "data.reading-tokens");
  const view = await get(`${path}/tokens`);
  if (view.error) {
    box.replaceChildren(make("p", { class: "reason" }, view.error));
    return;
  }
  const tokens = view.tokens.map(({ token, id, label: trained, count }) =>
    make("span", { class: trained === null ? "token" : "token trained", title: `${id}` }, token, count > 1 ? ` ×${count}` : "")
  );
  const sizes = { width: view.image_size[0], height: view.image_size[1], image: view.image_tokens, prompt: view.prompt_tokens, answer: view.answer_tokens };
  box.replaceChildren(say(make("p", { class: "small" }), "data.token-counts", sizes), make("div", { class: "token-list" }, ...tokens));
});
