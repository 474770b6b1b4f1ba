// One run as it trains: state, curves, what it reads at each validation, log; stop and resume.
import { get, post } from "../api.js";
import { LineChart } from "../chart.js";
import { byId, make } from "../dom.js";
import { every, notify, safely, start } from "../frame.js";
import { label, say, word } from "../locales.js";
import { duration, interval, number } from "../numbers.js";
import { Samples } from "../samples.js";
import { stateBadge } from "../state_badge.js";

const name = decodeURIComponent(location.pathname.slice("/run/".length));
const path = `/api/run/${encodeURIComponent(name)}`;
const FINAL = ["trained", "damaged"];
const CHARTS = [
  ["loss", [["loss", "train"], ["eval_loss", "validation"]]],
  ["learning_rate", [["learning_rate", "s1"]]],
  ["grad_norm", [["grad_norm", "s1"]]],
  ["samples_per_s", [["samples_per_s", "s2"]]],
  ["memory_gib", [["memory_gib", "s3"]]],
  ["gpu_utilization", [["gpu_utilization", "s1"]]],
  ["gpu_power_w", [["gpu_power_w", "s2"]]],
  ["gpu_temperature_c", [["gpu_temperature_c", "s3"]]],
];
const SCORE = /^eval_(?!loss$)/;

const page = { run: null, rows: [], metrics: "", log: "", charts: new Map(), samples: null };

// Measurements

async function loadMetrics() {
  const part = await get(`${path}/metrics`, { position: page.metrics });
  if (part.is_restart) page.rows = [];
  page.rows.push(...part.rows);
  page.metrics = part.position;
  if (part.rows.length || part.is_restart) drawCharts();
}

function drawCharts() {
  const scores = [...new Set(page.rows.flatMap((row) => Object.keys(row).filter((key) => SCORE.test(key))))];
  const all = [...CHARTS, ...scores.map((key) => [key, [[key, "validation"]]])];
  for (const [title, lines] of all) {
    const series = lines.map(([key, style]) => ({
      name: named(key),
      style,
      points: page.rows.filter((row) => typeof row[key] === "number").map((row) => [row.step, row[key]]),
    }));
    chart(title).draw({ title: named(title), series, share: SCORE.test(title) });
  }
  byId("no-curves").hidden = page.rows.length > 0;
}

function chart(title) {
  if (!page.charts.has(title)) {
    const drawn = new LineChart();
    drawn.figure.id = `chart-${title}`;
    page.charts.set(title, drawn);
    byId("charts").append(drawn.figure);
  }
  return page.charts.get(title);
}

/** The words of a measurement; a score has its own name. */
function named(key) {
  return SCORE.test(key) ? key.slice(5).replaceAll("_", " ") : word(`measure.${key}`);
}

// Log

async function loadLog() {
  const part = await get(`${path}/log`, { position: page.log });
  const output = byId("log");
  const follows = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
  if (part.is_restart) output.textContent = "";
  page.log = part.position;
  output.append(...part.lines.map((line) => `${line}\n`));
  if (follows) output.scrollTop = output.scrollHeight;
  byId("no-log").hidden = output.textContent !== "";
}

async function loadOutput() {
  const { lines } = page.run.job ? await get(`${path}/output`) : { lines: [] };
  byId("output-part").hidden = !lines.length;
  const text = lines.join("\n");
  if (byId("output").textContent !== text) byId("output").textContent = text;
}

// State and actions

async function loadRun() {
  page.run = await get(path);
  drawRun();
  await page.samples.update(page.run.sample_steps);
}

function drawRun() {
  const run = page.run;
  if (!run) return;
  const working = run.process !== null;
  const state = working && run.state === "trained" ? "reading" : run.state;
  byId("state").replaceWith(stateBadge(state, "state"));
  byId("stop").hidden = !(working && run.state === "training");
  byId("resume").hidden = working || FINAL.includes(run.state) || run.state === "";
  byId("report").hidden = !run.has_report;
  const step = run.step === null ? "–" : run.max_steps ? `${number(run.step)} / ${number(run.max_steps)}` : number(run.step);
  const facts = [
    ["model", [run.base, run.adapter].filter(Boolean).join(", ")],
    ["data", run.data],
    ["step", step],
    ["left", run.left_s === null ? null : duration(run.left_s)],
    ["loss", run.validation_loss?.toFixed(4)],
    ["process", run.process],
    ["created", run.created?.replace("T", " ").slice(0, 16)],
    ["command", run.job?.command.join(" ")],
  ];
  byId("facts").replaceChildren(
    ...facts.filter(([, value]) => value).map(([key, value]) => make("div", {}, say(make("dt"), `run.${key}`), make("dd", {}, String(value))))
  );
  const progress = byId("progress");
  progress.hidden = !(run.max_steps && run.step !== null);
  [progress.max, progress.value] = [run.max_steps ?? 1, run.step ?? 0];
  const scores = run.results.flatMap((result) =>
    Object.entries(result.intervals).map(([system, value]) =>
      make("li", {}, make("b", {}, `${system} ${interval(value)}`), ` ${result.data.path} ${result.data.split ?? ""}, ${number(result.rows)}`)
    )
  );
  byId("scores").replaceChildren(...scores);
  byId("scores-part").hidden = !scores.length;
}

const stop = safely(async () => {
  await post(`${path}/stop`);
  notify("run.stopping");
});

const resume = safely(async () => {
  await post(`${path}/resume`);
  notify("run.resuming");
  await loadRun();
});

// Page

function build(main) {
  const button = (id, key, action) => {
    const node = say(make("button", { id, type: "button", hidden: true }), key);
    node.addEventListener("click", action);
    return node;
  };
  const report = say(make("a", { id: "report", href: `${path}/report.html`, hidden: true, download: `${name}.html` }), "run.report");
  const compare = say(make("a", { href: `/compare?run=${encodeURIComponent(name)}` }), "run.compare");
  main.append(
    make("div", { class: "page-head" }, make("h1", {}, name), make("span", { id: "state", class: "badge state" }), make("span", { class: "row" }, button("stop", "run.stop", stop), button("resume", "run.resume", resume), compare, report)),
    label(make("progress", { id: "progress", hidden: true }), "run.step"),
    make("dl", { id: "facts", class: "facts panel" }),
    make("section", { id: "scores-part", hidden: true }, say(make("h2"), "run.scores"), make("ul", { id: "scores" })),
    say(make("h2"), "run.curves"),
    say(make("p", { id: "no-curves", class: "small" }), "run.no_curves"),
    make("div", { id: "charts", class: "charts" }),
    say(make("h2"), "run.samples"),
    page.samples.section,
    say(make("h2"), "run.log"),
    say(make("p", { id: "no-log", class: "small" }), "run.no_log"),
    make("pre", { id: "log", class: "log panel", tabindex: "0" }),
    make("details", { id: "output-part", hidden: true }, say(make("summary"), "run.output"), make("pre", { id: "output", class: "log panel", tabindex: "0" })),
    make("details", {}, say(make("summary"), "run.config"), make("pre", { id: "config", class: "panel" }))
  );
}

start(
  "run",
  async (main) => {
    page.samples = new Samples(path);
    build(main);
    document.title = `${name} · TexLens`;
    await loadRun();
    await Promise.all([loadMetrics(), loadLog(), loadOutput()]);
    byId("config").textContent = (await get(`${path}/config`)).yaml;
    every(2, async () => {
      await loadRun();
      await Promise.all([loadMetrics(), loadLog(), loadOutput()]);
    });
  },
  () => {
    drawRun();
    drawCharts();
    page.samples.draw();
  }
);
