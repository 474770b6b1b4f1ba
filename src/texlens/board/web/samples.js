// What a run read at each validation: the picture, the reference, and the reading with the tokens that differ colored.
import { get } from "./api.js";
import { coloredTokens } from "./differences.js";
import { make } from "./dom.js";
import { label, say, word } from "./locales.js";

export class Samples {
  constructor(path) {
    this.path = path;
    this.steps = [];
    this.rows = [];
    this.follows = true;
    this.slider = label(make("input", { type: "range", min: 0, step: 1, id: "sample-step" }), "samples.step");
    this.at = make("output", { id: "sample-at", class: "small" });
    this.list = make("div", { class: "samples", id: "samples" });
    this.none = say(make("p", { class: "small" }), "samples.none");
    this.section = make("section", {}, this.none, make("p", { class: "row" }, this.slider, this.at), this.list);
    this.slider.addEventListener("input", () => {
      this.follows = Number(this.slider.value) === this.steps.length - 1;
      this.load();
    });
  }

  /** Shows the newest validation until the reader chooses an older one. */
  async update(steps) {
    const isNew = steps.length !== this.steps.length || steps.at(-1) !== this.steps.at(-1);
    this.steps = steps;
    this.none.hidden = steps.length > 0;
    this.slider.parentElement.hidden = !steps.length;
    this.slider.max = Math.max(steps.length - 1, 0);
    if (!isNew || !steps.length) return;
    if (this.follows) this.slider.value = steps.length - 1;
    await this.load();
  }

  async load() {
    const step = this.steps[Number(this.slider.value)];
    const { rows } = await get(`${this.path}/samples/${step}`);
    [this.rows, this.step] = [rows, step];
    this.draw();
  }

  draw() {
    if (!this.rows.length) return this.list.replaceChildren();
    this.at.textContent = word("samples.at", { step: this.step });
    return this.list.replaceChildren(...this.rows.map((row) => this.sample(row)));
  }

  sample(row) {
    const picture = row.image
      ? make("div", { class: "picture" }, make("img", { src: `${this.path}/images/${row.image}`, alt: "", loading: "lazy" }))
      : say(make("div", { class: "picture none" }), "samples.no_picture");
    const exact = row.text === row.reference;
    const reading = make("div", { class: "tokens" });
    if (exact) reading.append(row.text);
    else reading.append(...coloredTokens(row.reference ?? "", row.text ?? ""));
    return make(
      "article",
      { class: "panel sample" },
      picture,
      make("div", { class: "about" }, row.id ?? "", say(make("span", { class: `badge ${exact ? "exact" : "off"}` }), exact ? "samples.exact" : "samples.differs")),
      exact ? "" : make("div", { class: "tokens reference" }, row.reference ?? ""),
      reading
    );
  }
}
