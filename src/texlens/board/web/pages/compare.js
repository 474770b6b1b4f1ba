// Systems on the same rows: the table with paired intervals, curves overlaid, and rows side by side. The address holds
// every choice, so a link shows the same to all who use this board.
import { get, post } from "../api.js";
import { ComparedRows } from "../compared_rows.js";
import { comparedTable } from "../compared_table.js";
import { byId, make } from "../dom.js";
import { notify, safely, start } from "../frame.js";
import { say, word } from "../locales.js";
import { OverlaidCurves } from "../overlaid_curves.js";

const page = { sources: [], table: null, rows: null, curves: null };
const state = new URLSearchParams(location.search);

export function remember(changes) {
  for (const [key, value] of Object.entries(changes)) {
    if (value === "" || value === null || value === undefined || value === false) state.delete(key);
    else state.set(key, String(value));
  }
  history.replaceState(null, "", `?${state}`);
}

// Which comparison

const sourceOf = (name) => page.sources.find((one) => one.name === name);

function drawChoices() {
  const runs = page.sources.map((one) => make("option", { value: one.name }, `${one.name} (${one.comparisons.length})`));
  byId("run").replaceChildren(...runs);
  byId("run").value = state.get("run") ?? "";
  const stored = sourceOf(state.get("run"))?.comparisons ?? [];
  byId("label").replaceChildren(...[...stored].reverse().map((one) => make("option", { value: one.label }, `${one.label}: ${one.systems.join(", ")}`)));
  byId("label").value = state.get("label") ?? "";
  const checkpoints = page.sources.flatMap((one) => one.checkpoints.map((name) => `${one.name}/checkpoints/${name}`));
  const others = [...page.sources.map((one) => one.name).filter((name) => name !== state.get("run")), ...checkpoints, "nano"];
  byId("known-systems").replaceChildren(...others.map((value) => make("option", { value })));
}

async function chooseRun(name) {
  const newest = sourceOf(name)?.comparisons.at(-1)?.label ?? "";
  remember({ run: name, label: newest, reference: "", start: "" });
  drawChoices();
  await show();
}

// What it shows

async function show() {
  const [run, label] = [state.get("run"), state.get("label")];
  page.curves.choose(state.get("curves")?.split(",") ?? (run ? [run] : []));
  byId("result").hidden = !label;
  byId("none").hidden = Boolean(label);
  if (!label) return;
  const values = { run, label, reference: state.get("reference") ?? "" };
  page.table = await get("/api/compare/table", values);
  drawTable();
  const split = sourceOf(run).comparisons.find((one) => one.label === label)?.data.split ?? "test";
  await page.rows.open(values, split, page.table.domains.map((part) => part.name));
}

function drawTable() {
  if (!page.table) return;
  const choice = byId("reference");
  choice.replaceChildren(...page.table.systems.map((name) => make("option", { value: name }, name)));
  choice.value = page.table.reference;
  byId("table").replaceChildren(...comparedTable(page.table, byId("all-scores").checked));
}

// A new comparison

const begin = safely(async () => {
  const systems = byId("systems").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const body = { run: byId("run").value, systems, split: byId("split").value, max_rows: Number(byId("max-rows").value) || null };
  const job = await post("/api/compare/start", body);
  notify("compare.started", { process: job.pid });
  byId("begin").disabled = true;
  byId("output").hidden = false;
  await follow(job.id, body.run, Date.now());
});

async function follow(id, run) {
  const { job, output } = await get(`/api/compare/started/${id}`);
  byId("output").textContent = output.filter((line) => !/^[{}\s"]/.test(line)).join("\n");
  if (job.is_running || job.exit_code === null) {
    setTimeout(safely(() => follow(id, run)), 1000);
    return;
  }
  byId("begin").disabled = false;
  if (job.exit_code !== 0) {
    notify("compare.failed", { code: job.exit_code }, { wrong: true, detail: output.at(-1) ?? "" });
    return;
  }
  page.sources = (await get("/api/compare/sources")).runs;
  notify("compare.done");
  await chooseRun(run);
}

// Page

function build(main) {
  const select = (id, action) => {
    const node = make("select", { id });
    node.addEventListener("change", safely(action));
    return node;
  };
  const field = (key, node) => make("label", { class: "field" }, say(make("span", { class: "name" }), key), node);
  const copy = say(make("button", { id: "copy-link", type: "button" }), "compare.link");
  copy.addEventListener("click", safely(async () => {
    await navigator.clipboard.writeText(location.href);
    notify("compare.copied");
  }));
  const beginButton = say(make("button", { id: "begin", type: "button", class: "primary" }), "compare.begin");
  beginButton.addEventListener("click", begin);
  const split = make("select", { id: "split" }, ...["test", "validation", "train"].map((name) => make("option", { value: name }, name)));
  const all = make("input", { id: "all-scores", type: "checkbox" });
  all.addEventListener("change", drawTable);
  main.append(
    make("div", { class: "page-head" }, say(make("h1"), "nav.compare"), make("span", { class: "row" }, copy)),
    make("section", { class: "panel fields" },
      field("compare.run", select("run", (event) => chooseRun(event.target.value))),
      field("compare.stored", select("label", async (event) => {
        remember({ label: event.target.value, reference: "", start: "" });
        await show();
      }))),
    make("details", { class: "panel", id: "new-comparison" }, say(make("summary"), "compare.new"),
      say(make("p", { class: "small" }), "compare.how"),
      make("div", { class: "fields" }, field("compare.systems", make("textarea", { id: "systems", rows: 3, spellcheck: "false" })), field("compare.add", addBox()), field("compare.split", split), field("compare.max_rows", make("input", { id: "max-rows", type: "number", min: 1 }))),
      make("p", {}, beginButton), make("pre", { id: "output", class: "log", hidden: true })),
    say(make("p", { id: "none", class: "small" }), "compare.none"),
    make("div", { id: "result", hidden: true },
      make("div", { class: "row table-head" }, say(make("h2"), "compare.scores"), make("label", { class: "check" }, say(make("span"), "compare.reference"), select("reference", async (event) => {
        remember({ reference: event.target.value });
        await show();
      })), make("label", { class: "check" }, all, say(make("span"), "compare.all"))),
      make("div", { id: "table" }),
      say(make("h2"), "compare.rows"), page.rows.root),
    say(make("h2"), "compare.curves"), page.curves.root
  );
}

/** A box that completes known systems; what is chosen becomes a line of the list. */
function addBox() {
  const box = make("input", { id: "add-system", list: "known-systems", autocomplete: "off" });
  box.addEventListener("change", () => {
    if (!box.value) return;
    byId("systems").value = [byId("systems").value.trim(), box.value].filter(Boolean).join("\n");
    box.value = "";
  });
  return make("span", {}, box, make("datalist", { id: "known-systems" }));
}

start(
  "compare",
  async (main) => {
    page.sources = (await get("/api/compare/sources")).runs;
    page.rows = new ComparedRows(state, remember);
    page.curves = new OverlaidCurves(page.sources.map((one) => one.name), (names) => remember({ curves: names.join(",") }));
    build(main);
    if (!state.get("run") && page.sources.length) {
      const first = page.sources.find((one) => one.comparisons.length) ?? page.sources[0];
      state.set("run", first.name);
    }
    if (!state.get("label")) state.set("label", sourceOf(state.get("run"))?.comparisons.at(-1)?.label ?? "");
    drawChoices();
    await show();
  },
  () => {
    drawTable();
    page.rows?.redraw();
    page.curves?.draw();
    document.title = `${word("nav.compare")} · TexLens`;
  }
);
