// One model's reading: the rendered formula, editable LaTeX, token probabilities, copy buttons.
import { render } from "./api.js";
import { copy, KINDS } from "./copy.js";
import { byId, make } from "./dom.js";
import { showFormula } from "./formula.js";
import { TokenRow } from "./tokens.js";
import { label, say, word } from "./locales.js";

const PAUSE_MS = 120;

export class Result {
  /** `role` is "adapter", "base" or null; `edited` is called after each edit. */
  constructor(model, role, { notify, edited }) {
    Object.assign(this, { model, notify, edited });
    this.tokens = new TokenRow();
    this.state = make("span", { class: "state small" });
    this.badges = make("span", { class: "badges" });
    this.formula = make("div", { class: "formula", tabindex: "0", role: "group", "data-t-name": "results", "aria-label": word("results") });
    this.editor = this.makeEditor();
    this.copies = this.makeCopies();
    const name = make("h3", {}, model);
    if (role) name.append(" ", say(make("small", { class: `badge role-${role}` }), role));
    const head = make("header", { class: "result-head" }, name, this.badges, this.state);
    this.body = make("div", { class: "result-body", hidden: true }, this.editorBox, this.copies);
    this.node = make("article", { class: "panel result", "data-model": model }, head, this.formula, this.body, this.tokens.node);
    this.formula.append(make("span", { class: "waiting", "aria-hidden": "true" }));
    this.tokens.node.hidden = true;
    say(this.state, "reading");
  }

  token(token) {
    this.tokens.node.hidden = false;
    this.tokens.add(token);
    say(this.state, "reading");
  }

  wait(seconds) {
    say(this.state, "wait", { n: seconds });
  }

  async done(reading, edited = null) {
    this.reading = reading;
    this.unsure = this.tokens.fill(reading.tokens);
    this.tokens.node.hidden = !reading.tokens.length;
    this.body.hidden = false;
    this.badges.replaceChildren(...badgesOf(reading));
    say(this.state, "took", { n: Math.round(reading.milliseconds) });
    await this.put(edited ?? reading.latex);
  }

  fail(refused) {
    this.failed = true;
    this.node.classList.add("failed");
    const lines = [say(make("p", { class: "problem" }), refused.key, refused.values)];
    if (refused.detail) lines.push(make("p", { class: "small detail" }, refused.detail));
    this.formula.replaceChildren(...lines);
    this.state.remove();
  }

  /** Put text into the editor and render it. */
  put(latex) {
    this.editor.value = latex;
    return this.redraw();
  }

  async redraw() {
    this.rendering?.abort();
    const rendering = (this.rendering = new AbortController());
    const latex = this.editor.value;
    this.restore.hidden = latex === this.reading.latex;
    this.editor.rows = Math.min(8, Math.max(2, Math.ceil(latex.length / 60)));
    try {
      this.drawn = await render(latex, rendering.signal);
      showFormula(this.formula, this.drawn);
    } catch (error) {
      if (error.name !== "AbortError") this.notify(error);
    }
  }

  /** The reason why the formula can't be drawn, in the language of the page. */
  showProblemAgain() {
    if (this.drawn?.problem) showFormula(this.formula, this.drawn);
  }

  async copy(kind) {
    try {
      await copy(kind, this.editor.value, this.drawn);
      this.notify({ key: "copied", values: { kind: word(`copy.${kind}`) } });
    } catch (refused) {
      if (refused.values?.kind) refused.values.kind = word(refused.values.kind);
      if (refused.key === "copy.refused") this.editor.select();
      this.notify(refused);
    }
  }

  makeEditor() {
    const editor = make("textarea", { spellcheck: "false", autocapitalize: "off", autocomplete: "off", rows: "2", maxlength: "20000" });
    label(editor, "latex.edit");
    this.restore = make("button", { type: "button", class: "plain", hidden: true }, say(make("span"), "restore"));
    this.restore.addEventListener("click", () => this.put(this.reading.latex).then(() => this.edited()));
    editor.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.redraw().then(() => this.edited()), PAUSE_MS);
    });
    this.editorBox = make("div", { class: "editor" }, editor, this.restore);
    return editor;
  }

  makeCopies() {
    const row = make("div", { class: "row copies", role: "group" }, say(make("span", { class: "small" }), "copy"));
    for (const kind of KINDS) {
      const button = make("button", { type: "button", "data-copy": kind }, say(make("span"), `copy.${kind}`));
      button.addEventListener("click", () => this.copy(kind));
      row.append(button);
    }
    return row;
  }
}

const UNSURE = 0.5; // a calibrated confidence under this, as `texlens read` remarks on it
const UNLIKELY = 0.02; // the same for the probability of all tokens by a model that was never calibrated

/** Whether a reading may be no formula at all, or not read right. */
function isDoubtful({ confidence, tokens }) {
  if (confidence !== null) return confidence < UNSURE;
  return tokens.reduce((product, { probability }) => product * probability, 1) < UNLIKELY;
}

function badgesOf(reading) {
  const { confidence, stop } = reading, badges = [];
  if (isDoubtful(reading)) badges.push(say(make("span", { class: "badge off doubtful" }), "doubtful"));
  if (confidence !== null) {
    // never shown as certain, nor as impossible
    const percent = confidence < 0.01 ? "< 1" : Math.min(99.9, 100 * confidence).toFixed(confidence > 0.99 ? 1 : 0);
    const kind = confidence >= 0.9 ? "exact" : confidence >= 0.5 ? "flag" : "off";
    const badge = say(make("span", { class: `badge ${kind}` }), "sure", { percent });
    badge.title = word("sure.why");
    badges.push(badge);
  }
  if (stop === "length" || stop === "loop") badges.push(say(make("span", { class: "badge flag" }), `stop.${stop}`));
  return badges;
}

/** Whether two readings agree. */
export function compareNote([first, second]) {
  const same = first.reading.latex === second.reading.latex;
  byId("results").querySelector(".verdict")?.remove();
  return say(make("p", { class: `verdict small ${same ? "same" : "differ"}` }), same ? "same" : "differ");
}
