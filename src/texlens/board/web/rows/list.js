// The list of rows: filters above, an entry for each row, pages.
import { post } from "../api.js";
import { make } from "../dom.js";
import { showFormula } from "../formula.js";
import { label, say, word } from "../locales.js";
import { number } from "../numbers.js";

const ORDERS = ["source", "longest", "shortest", "text"];
const EDITS = ["", "any", "edited", "excluded", "marked", "untouched"];
const PAGE_ROWS = 50;
const TYPING_MS = 250;
let typing;

export function drawControls(box, about, state, change, check) {
  const search = box.querySelector("input[type=search]") ?? searchBox(change);
  search.placeholder = word("data.search");
  search.setAttribute("aria-label", word("data.search"));
  if (document.activeElement !== search) search.value = state.text;
  const problems = about.problems
    ? select("data.problem", ["", "any", ...Object.keys(about.problems)], state.problem, (problem) => change({ problem }), (name) =>
        name && name !== "any" ? `${name} (${number(about.problems[name])})` : word(`data.problem.${name || "all"}`)
      )
    : checkButton(about.checking, check);
  const others = [
    make("div", { class: "chips" }, ...Object.keys(about.splits).map((name) => splitChip(name, about, state, change))),
    select("data.edits", EDITS, state.edits, (edits) => change({ edits }), (name) => word(`data.edits.${name || "all"}`)),
    problems,
    select("data.order", ORDERS, state.order, (order) => change({ order }), (name) => word(`data.order.${name}`)),
  ];
  if (search.parentElement === box) {
    for (const child of [...box.children]) if (child !== search) child.remove();
    box.prepend(others[0]);
    box.append(...others.slice(1));
  } else {
    box.replaceChildren(others[0], search, ...others.slice(1));
  }
}

function searchBox(change) {
  const search = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => change({ text: search.value }), TYPING_MS);
  });
  return search;
}

function splitChip(name, about, state, change) {
  const count = make("span", {}, ` ${number(about.splits[name].rows)}`);
  const chip = make("button", { type: "button", class: "chip", "aria-pressed": String(name === state.split) }, name, count);
  chip.addEventListener("click", () => change({ split: name }));
  return chip;
}

function select(key, values, chosen, change, text) {
  const box = label(make("select"), key);
  box.append(...values.map((value) => make("option", { value, selected: value === chosen }, text(value))));
  box.addEventListener("change", () => change(box.value));
  return box;
}

function checkButton(checking, check) {
  const isRunning = checking?.is_running;
  const button = make("button", { type: "button", class: "plain", disabled: isRunning });
  say(button, isRunning ? "data.checking" : "data.check", isRunning ? { done: number(checking.done), rows: number(checking.rows) } : {});
  button.addEventListener("click", check);
  return button;
}

export function drawPager(boxes, page, goTo) {
  for (const box of boxes) {
    const last = page.first + page.rows.length;
    const text = say(make("span"), page.total ? "data.shown" : "data.none", {
      first: number(page.first + 1),
      last: number(last),
      total: number(page.total),
    });
    box.replaceChildren(
      text,
      step("data.back", page.first > 0, () => goTo(Math.max(0, page.first - PAGE_ROWS))),
      step("data.next", last < page.total, () => goTo(page.first + PAGE_ROWS))
    );
  }
}

function step(key, isPossible, action) {
  const button = say(make("button", { type: "button", class: "plain", disabled: !isPossible }), key);
  button.addEventListener("click", action);
  return button;
}

const drawn = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    drawn.unobserve(target);
    post("/api/render", { latex: target.dataset.latex })
      .then((formula) => showFormula(target, formula))
      .catch(() => target.replaceChildren());
  }
});

/** A formula that is drawn when it comes into view. */
export function formulaBox(latex) {
  const box = make("div", { class: "formula", "data-latex": latex });
  drawn.observe(box);
  return box;
}

export function drawRows(box, page, imageOf, open) {
  box.replaceChildren(...page.rows.map((row) => entry(row, imageOf, open)));
}

function entry(row, imageOf, open) {
  const image = make("img", { src: imageOf(row), alt: "", loading: "lazy" });
  image.addEventListener("error", () => image.replaceWith(say(make("span", { class: "small" }), "data.no-image")));
  const button = make(
    "button",
    { type: "button", class: `row-entry${row.excluded === null ? "" : " is-excluded"}`, "data-row": `${row.split}/${row.row}` },
    make("span", { class: "picture" }, image),
    make(
      "span",
      { class: "row-text" },
      make("span", { class: "badges" }, make("span", { class: "small" }, `${row.row} · ${row.id}`), ...badges(row)),
      formulaBox(row.text),
      make("code", { class: "tokens" }, row.text)
    )
  );
  button.addEventListener("click", () => open(row));
  return button;
}

/** What was done to the row, and what is wrong with it. */
export function badges(row) {
  const own = [
    row.excluded === null ? null : say(make("span", { class: "badge off" }), "data.is-excluded"),
    row.label === null ? null : say(make("span", { class: "badge exact" }), "data.is-edited"),
    row.mark === null ? null : make("span", { class: "badge flag" }, row.mark || "★"),
  ];
  const found = row.badges.map(({ kind, severity, reason }) =>
    make("span", { class: `badge ${severity === "error" ? "off" : severity === "warning" ? "flag" : ""}`, title: reason }, kind)
  );
  return [...own, ...found].filter(Boolean);
}
