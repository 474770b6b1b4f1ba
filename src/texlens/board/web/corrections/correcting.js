// One picture at a time: picture, reading to correct, live drawing. Everything works from the keyboard.
import { post } from "../api.js";
import { make } from "../dom.js";
import { showFormula } from "../formula.js";
import { notify, safely } from "../frame.js";
import { label, say } from "../locales.js";
import { number } from "../numbers.js";

const TYPING_MS = 120;
const KEYS = ["confirm", "leave-out", "skip", "undo"];

/** `images` in their order of `waiting`; `page` has source, send(body), onChange() and onEmpty(). */
export function drawCorrecting(box, images, waiting, page) {
  const queue = [...images];
  const done = [];
  let left = waiting;
  let timer;
  let turn = 0;
  let isSending = false;
  if (!queue.length) {
    box.replaceChildren();
    return;
  }
  const image = make("img", { alt: "" });
  const text = make("textarea", { rows: 3, spellcheck: "false", autocomplete: "off", autocapitalize: "off", id: "correction" });
  label(text, "learn.text");
  const drawing = make("div", { class: "formula live" });
  const why = make("div", { class: "about" });
  const name = make("span", { class: "small" });
  const actions = { confirm, "leave-out": leaveOut, skip, undo };
  const buttons = KEYS.map((key) => {
    const button = say(make("button", { type: "button", class: key === "confirm" ? "primary" : "plain", id: `do-${key}` }), `learn.do.${key}`);
    button.addEventListener("click", safely(actions[key]));
    return button;
  });
  box.replaceChildren(
    say(make("h2"), "learn.correct"),
    make("div", { class: "panel" }, name, make("div", { class: "pair" }, make("div", { class: "picture" }, image), make("div", {}, drawing, text, why)), make("div", { class: "actions" }, ...buttons))
  );
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(draw, TYPING_MS);
  });
  text.addEventListener("keydown", (event) => {
    const key = shortcut(event);
    if (!key) return;
    event.preventDefault();
    safely(actions[key])();
  });
  const draw = safely(async () => {
    const mine = ++turn;
    const formula = await post("/api/render", { latex: text.value });
    if (mine === turn) showFormula(drawing, formula);
  });
  show();

  function show() {
    const each = queue[0];
    image.src = `${page.source}/image/${each.key}`;
    say(name, "learn.place", { name: each.name, left: number(left) });
    text.value = each.text;
    why.replaceChildren(...reasons(each));
    text.focus();
    draw();
    if (queue[1]) new Image().src = `${page.source}/image/${queue[1].key}`;
  }

  async function send(body) {
    if (isSending) return;
    isSending = true;
    const each = queue[0];
    const { problem } = await page.send({ image: each.key, reading: each.text, ...body }).finally(() => {
      isSending = false;
    });
    if (problem) notify("learn.no-formula", {}, { detail: problem, wrong: true });
    done.push(queue.shift());
    left -= 1;
    next();
    page.onChange();
  }

  function next() {
    if (queue.length) show();
    else page.onEmpty();
  }

  function confirm() {
    return text.value.trim() ? send({ action: "label", text: text.value }) : notify("learn.empty", {}, { wrong: true });
  }

  function leaveOut() {
    return send({ action: "leave_out" });
  }

  function skip() {
    queue.push(queue.shift());
    show();
  }

  async function undo() {
    const last = done.pop();
    if (!last) return;
    await page.send({ image: last.key, action: "undo" });
    queue.unshift(last);
    left += 1;
    show();
    page.onChange();
  }
}

function shortcut(event) {
  if (event.isComposing) return null;
  if (event.key === "Enter" && !event.shiftKey) return "confirm";
  if (!event.altKey) return null;
  return { x: "leave-out", s: "skip", z: "undo" }[event.key.toLowerCase()] ?? null;
}

/** Why the picture is here: what makes its reading doubtful. */
function reasons({ doubt, other_view: other }) {
  const parts = [say(make("span"), "learn.confidence", { n: (100 * doubt.confidence).toFixed(0) })];
  if (doubt.problem) parts.push(make("span", { class: "badge off" }, doubt.problem));
  if (doubt.views !== null && doubt.views < 1) parts.push(say(make("span", { class: "badge flag", title: other ?? "" }), "learn.views", { n: (100 * doubt.views).toFixed(0) }));
  if (doubt.models !== null && doubt.models < 1) parts.push(say(make("span", { class: "badge flag" }), "learn.models", { n: (100 * doubt.models).toFixed(0) }));
  return parts;
}
