// Rows of a comparison side by side, with filters; pictures and drawings come as a row scrolls into view.
import { get, post } from "./api.js";
import { coloredTokens } from "./differences.js";
import { make } from "./dom.js";
import { safely } from "./frame.js";
import { label, say, word } from "./locales.js";
import { number, percent } from "./numbers.js";

const PAGE_ROWS = 20;
const SORTS = ["worst", "length", "confidence", "id"];
const OUTCOMES = ["fixed", "broken", "wrong", "right"];
const QUIET_MS = 300;

export class ComparedRows {
  /** `state` are the address's choices, `remember` changes them. */
  constructor(state, remember) {
    [this.state, this.remember] = [state, remember];
    this.list = make("div", { id: "rows" });
    this.count = make("p", { id: "row-count", class: "small", role: "status" });
    this.pages = make("p", { class: "row", id: "pages" });
    this.filters = make("div", { class: "filters", id: "filters" });
    this.root = make("section", {}, this.filters, this.count, this.list, this.pages);
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        this.observer.unobserve(target);
        target.load();
      }
    }, { rootMargin: "400px" });
  }

  async open(values, split, domains) {
    [this.values, this.split, this.domains] = [values, split, domains];
    this.drawFilters();
    await this.load();
  }

  /** In another language. */
  redraw() {
    if (!this.answer) return;
    this.drawFilters();
    this.draw();
  }

  async load() {
    const names = ["differ", "outcome", "domain", "search", "min_length", "max_length", "max_confidence", "sort", "start"];
    const chosen = Object.fromEntries(names.map((name) => [name, this.state.get(name)]).filter(([, value]) => value));
    this.answer = await get("/api/compare/rows", { ...this.values, ...chosen });
    this.draw();
  }

  choose(name, value) {
    this.remember({ [name]: value, start: name === "start" ? value : "" });
    clearTimeout(this.timer);
    this.timer = setTimeout(safely(() => this.load()), QUIET_MS);
  }

  drawFilters() {
    const differ = make("input", { type: "checkbox", id: "filter-differ", checked: this.state.get("differ") === "true" });
    differ.addEventListener("change", () => this.choose("differ", differ.checked ? "true" : ""));
    const domains = this.domains.length ? [this.select("domain", ["", ...this.domains], (name) => name || word("compare.all_domains"))] : [];
    this.filters.replaceChildren(
      make("label", { class: "check" }, differ, say(make("span"), "compare.differ")),
      this.select("sort", SORTS, (name) => word(`compare.sort.${name}`)),
      this.select("outcome", ["", ...OUTCOMES], (name) => word(`compare.outcome.${name}`)),
      ...domains,
      this.input("search", { type: "search" }),
      this.input("min_length", { type: "number", min: 0 }),
      this.input("max_length", { type: "number", min: 0 }),
      this.input("max_confidence", { type: "number", min: 0, max: 1, step: 0.05 })
    );
  }

  select(name, values, words) {
    const node = label(make("select", { id: `filter-${name}` }, ...values.map((value) => make("option", { value }, words(value)))), `compare.${name}`);
    node.value = this.state.get(name) ?? values[0];
    node.addEventListener("change", () => this.choose(name, node.value));
    return node;
  }

  input(name, attributes) {
    const node = label(make("input", { id: `filter-${name}`, ...attributes }), `compare.${name}`);
    node.placeholder = word(`compare.${name}`);
    node.value = this.state.get(name) ?? "";
    node.addEventListener("input", () => this.choose(name, node.value));
    return node;
  }

  draw() {
    if (!this.answer) return;
    const { matching, total, start, rows } = this.answer;
    say(this.count, "compare.matching", { matching: number(matching), total: number(total) });
    this.observer.disconnect();
    this.list.replaceChildren(...rows.map((row) => this.row(row)));
    this.list.querySelectorAll(".compared").forEach((node) => this.observer.observe(node));
    const page = (key, at) => {
      const node = say(make("button", { type: "button", id: key.replace(".", "-") }), key);
      node.disabled = at < 0 || at >= matching || at === start;
      node.addEventListener("click", () => this.choose("start", at || ""));
      return node;
    };
    const last = Math.min(start + rows.length, matching);
    this.pages.replaceChildren(page("compare.back", start - PAGE_ROWS), make("span", { class: "small" }, matching ? `${start + 1}–${last}` : ""), page("compare.next", start + PAGE_ROWS));
  }

  row(row) {
    const picture = make("div", { class: "picture" });
    const reference = make("div", { class: "drawing" });
    const readings = row.texts.map((text, index) => this.reading(row, text, this.answer.systems[index]));
    const about = make("div", { class: "about" }, make("b", {}, row.id), row.domain ? make("span", { class: "badge" }, row.domain) : "");
    const source = make("div", { class: "source" }, picture, about, say(make("span", { class: "small" }), "compare.reference_text"), reference, make("div", { class: "tokens reference" }, row.plain));
    const node = make("article", { class: "panel compared" }, source, make("div", { class: "readings" }, ...readings.map((reading) => reading.node)));
    node.load = safely(async () => {
      const image = get("/api/compare/picture", { run: this.values.run, split: this.split, row: row.id }).then(
        ({ picture: uri }) => picture.append(make("img", { src: uri, alt: "" })),
        (error) => {
          picture.classList.add("none");
          picture.textContent = error.detail;
        }
      );
      for (const reading of readings) reference.replaceChildren(...(await reading.draw(reference)));
      await image;
    });
    return node;
  }

  reading(row, text, system) {
    const badges = [make("span", { class: `badge ${text.exact ? "exact" : "off"}` }, text.exact ? word("samples.exact") : word("compare.edits", { edits: text.edits }))];
    if (text.confidence !== null) badges.push(make("span", { class: "badge" }, word("compare.sure", { share: percent(text.confidence) })));
    if (text.cdm !== undefined && !text.exact) badges.push(make("span", { class: "badge" }, `CDM ${percent(text.cdm)}`));
    for (const flag of text.flags ?? []) badges.push(make("span", { class: "badge flag" }, flag));
    const drawing = make("div", { class: "drawing" });
    const tokens = make("div", { class: "tokens" });
    if (text.error) tokens.append(make("span", { class: "problem" }, text.error));
    else if (text.exact) tokens.append(text.plain);
    else tokens.append(...coloredTokens(row.plain, text.plain));
    const node = make("div", { class: "reading" }, make("div", { class: "about" }, make("b", {}, system), ...badges), drawing, tokens);
    const draw = async () => {
      const drawn = await post("/api/compare/drawings", { reference: row.plain, text: text.exact ? row.plain : text.plain });
      drawing.replaceChildren(...picture(drawn.text, drawn.problem));
      return picture(drawn.reference, "");
    };
    return { node, draw };
  }
}

/** A drawing as an image, in which nothing can act; sized in em, so it gets a font size of its own. */
function picture(svg, problem) {
  if (!svg) return problem ? [make("span", { class: "small" }, problem)] : [];
  const source = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg.replace("<svg", '<svg font-size="20"'))}`;
  return [make("img", { class: "drawn", src: source, alt: "" })];
}
