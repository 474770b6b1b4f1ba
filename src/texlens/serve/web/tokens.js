// The tokens of a reading, colored and underlined by their probability.
import { make } from "./dom.js";
import { say, word } from "./locales.js";

const BOUNDS = [0.99, 0.9, 0.7, 0.5];
const FOCUSABLE_LEVEL = 2; // from this level on a token can be reached with the keyboard

const levelOf = (probability) => {
  const level = BOUNDS.findIndex((bound) => probability >= bound);
  return level === -1 ? BOUNDS.length : level;
};
const percent = (probability) => (100 * probability).toFixed(probability > 0.999 ? 2 : 1);

export class TokenRow {
  constructor() {
    this.row = make("div", { class: "token-row" });
    this.detail = make("output", { class: "token-detail small" });
    const legend = make("span", { class: "levels small", "aria-hidden": "true" });
    for (let level = 1; level <= BOUNDS.length; level += 1) {
      legend.append(say(make("span", { class: `token level-${level}` }), `level.${level}`));
    }
    const head = make("div", { class: "token-head" }, say(make("h4"), "tokens"), legend);
    this.node = make("div", { class: "tokens-box" }, head, this.row, this.detail);
    say(this.detail, "tokens.hint");
    for (const event of ["pointerover", "focusin", "click"]) this.row.addEventListener(event, (e) => this.show(e.target));
  }

  add({ text, probability }) {
    const level = levelOf(probability);
    const ink = text.trimStart();
    const node = make("span", { class: `token level-${level}`, title: `${percent(probability)}%` }, ink || text);
    node.dataset.percent = percent(probability);
    if (level >= FOCUSABLE_LEVEL) {
      node.tabIndex = 0;
      node.setAttribute("role", "note");
      node.setAttribute("aria-label", word("token.is", { text: text.trim(), percent: percent(probability) }));
    }
    this.row.append(ink ? text.slice(0, text.length - ink.length) : "", node); // no line under the space before
    return level;
  }

  fill(tokens) {
    this.row.replaceChildren();
    return tokens.filter((token) => this.add(token) >= FOCUSABLE_LEVEL).length;
  }

  show(node) {
    if (node.dataset?.percent) say(this.detail, "token.is", { text: node.textContent.trim(), percent: node.dataset.percent });
  }
}
