// The table of a comparison: scores with intervals, and each system's difference from the reference system.
import { make } from "./dom.js";
import { say, word } from "./locales.js";
import { interval, number, points } from "./numbers.js";

export function comparedTable(table, all) {
  const others = table.systems.filter((name) => name !== table.reference);
  const heads = [make("th"), ...table.systems.map((name) => make("th", {}, name)), ...others.map((name) => make("th", {}, word("compare.minus", { system: name, reference: table.reference })))];
  const rows = table.metrics.filter((metric) => all || metric.is_main).map((metric) => line(make("th", { scope: "row", title: metric.definition }, metric.title), table.systems, others, metric));
  const scores = make("div", { class: "panel scroll" }, make("table", { id: "scores-table" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
  const parts = [make("p", { class: "small" }, word("compare.rows_read", { rows: number(table.rows) })), scores, outcomes(table)];
  if (table.domains.length) parts.push(domains(table, others));
  return parts;
}

function line(head, systems, others, { values, differences }) {
  return make("tr", {}, head, ...systems.map((name) => make("td", {}, make("span", { class: "score" }, interval(values[name])))), ...others.map((name) => make("td", {}, difference(differences[name]))));
}

/** "+3.1 (0.4 to 5.8)", green where the interval is all better, red where it is all worse. */
const difference = (value) => make("span", { class: `delta ${value.verdict}` }, points(value));

/** How often which of two systems is exactly right, and McNemar's test on it. */
function outcomes({ pairs, reference }) {
  const lines = pairs.map((pair) => say(make("li", { class: "small" }), "compare.outcomes", { ...pair, reference }));
  return make("ul", { id: "outcomes" }, ...lines);
}

function domains({ domains: parts, systems }, others) {
  const head = make("tr", {}, say(make("th"), "compare.domain"), ...systems.map((name) => make("th", {}, name)), ...others.map((name) => make("th", {}, `Δ ${name}`)));
  const rows = parts.map((part) => line(make("th", { scope: "row" }, `${part.name} (${number(part.rows)})`), systems, others, part));
  return make("details", { class: "panel scroll" }, say(make("summary"), "compare.by_domain"), make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}
