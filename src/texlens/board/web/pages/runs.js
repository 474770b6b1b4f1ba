// Every run of the folder, newest first, kept up to date.
import { get } from "../api.js";
import { byId, make } from "../dom.js";
import { every, start } from "../frame.js";
import { say } from "../locales.js";
import { duration, interval, number } from "../numbers.js";
import { stateBadge } from "../state_badge.js";

const COLUMNS = ["name", "state", "model", "data", "step", "loss", "score", "left"];
let latest = null;

function draw() {
  if (!latest) return;
  const list = byId("runs");
  if (!latest.runs.length) {
    list.replaceChildren(say(make("p", { class: "small" }), "runs.none", { folder: latest.folder }));
    return;
  }
  const head = make("tr", {}, ...COLUMNS.map((name) => say(make("th"), `runs.${name}`)));
  const rows = latest.runs.map(row);
  list.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function row(run) {
  const link = make("a", { href: `/run/${encodeURIComponent(run.name)}` }, run.name);
  const scores = Object.entries(run.results[0]?.intervals ?? {}).map(([name, value]) =>
    make("div", { class: "score" }, `${name} ${interval(value)}`)
  );
  const step = run.step === null ? "" : run.max_steps ? `${number(run.step)} / ${number(run.max_steps)}` : number(run.step);
  return make(
    "tr",
    {},
    make("td", {}, link),
    make("td", {}, stateBadge(run.state)),
    make("td", {}, [run.base, run.adapter].filter(Boolean).join(", ")),
    make("td", {}, run.data ?? ""),
    make("td", { class: "n" }, step),
    make("td", { class: "n" }, run.validation_loss?.toFixed(4) ?? ""),
    make("td", {}, ...scores),
    make("td", { class: "n" }, run.left_s === null ? "" : duration(run.left_s))
  );
}

start(
  "runs",
  async (main) => {
    main.append(say(make("h1"), "nav.runs"), make("div", { id: "runs", class: "panel scroll" }));
    latest = await get("/api/runs");
    draw();
    every(3, async () => {
      latest = await get("/api/runs");
      draw();
    });
  },
  draw
);
