// The first rows of the data as the model will get them: picture, label, and the tokens that each takes.
import { post } from "./api.js";
import { make } from "./dom.js";
import { language, say, word } from "./locales.js";
import { number } from "./numbers.js";

const COUNT = 6;
/** Settings on which the preview depends. */
const RELEVANT = /^(data|model)\./;

export class RowPreview {
  constructor() {
    this.list = make("div", { class: "samples", id: "row-preview" });
    this.about = make("p", { class: "small", id: "row-count" });
    this.root = make("section", {}, this.about, this.list);
    this.loaded = null;
    this.answer = null;
  }

  async update(settings) {
    const relevant = settings.filter((line) => RELEVANT.test(line));
    const key = JSON.stringify([language(), ...relevant]);
    if (key === this.loaded) return;
    this.loaded = key;
    try {
      const answer = await post("/api/new/rows", { settings: relevant, count: COUNT });
      if (key !== this.loaded) return;
      [this.answer, this.problem] = [answer, null];
    } catch (error) {
      if (key !== this.loaded) return;
      [this.answer, this.problem] = [null, error.detail || word(error.key ?? "error.other")];
    }
    this.draw();
  }

  draw() {
    if (this.problem) {
      this.about.textContent = this.problem;
      return this.list.replaceChildren();
    }
    if (!this.answer) return null;
    this.about.textContent = word("rows.count", { rows: number(this.answer.rows), about: this.answer.exact ? "" : word("rows.estimated") });
    return this.list.replaceChildren(...this.answer.entries.map(entry));
  }
}

function entry(row) {
  const picture = row.picture ? make("div", { class: "picture" }, make("img", { src: row.picture, alt: "" })) : make("div", { class: "picture none" }, row.problem ?? "");
  const counts = row.text_tokens === undefined ? "" : word("rows.tokens", { image: row.image_tokens, text: row.text_tokens, answer: row.answer_tokens });
  const label = make("div", { class: "tokens" });
  if (row.tokens) label.append(...row.tokens.map((piece, index) => make("span", { class: `piece piece-${index % 2}` }, piece)));
  else label.append(row.text);
  return make("article", { class: "panel sample" }, picture, make("div", { class: "about" }, row.id, make("span", { class: "badge" }, counts)), label);
}
