// A new run: the form, the plan beside it, a preview of rows, the run file and its command, and the start.
import { get, post } from "../api.js";
import { byId, make } from "../dom.js";
import { Form } from "../form.js";
import { notify, safely, start } from "../frame.js";
import { say, word } from "../locales.js";
import { PlanView } from "../plan_view.js";
import { RowPreview } from "../row_preview.js";

const QUIET_MS = 500;
const DEFAULT = "recipe:nano_latex-ocr_lora";
const page = { form: null, plan: null, rows: null, sources: null, timer: 0, asked: 0, started: null };

// The run file, and what is wrong with it

function schedule() {
  clearTimeout(page.timer);
  page.timer = setTimeout(safely(check), QUIET_MS);
}

async function check() {
  page.asked += 1;
  const turn = page.asked;
  const settings = page.form.settings;
  const problem = byId("problem");
  try {
    const answer = await post("/api/new/check", { settings });
    if (turn !== page.asked) return;
    byId("yaml").textContent = answer.yaml;
    byId("command").textContent = answer.command;
    problem.textContent = "";
    byId("start").disabled = false;
  } catch (error) {
    if (turn !== page.asked) return;
    problem.textContent = error.detail || word(error.key ?? "error.other");
    byId("start").disabled = true;
    return;
  }
  page.plan.update(settings, byId("gpu").value);
  page.rows.update(settings);
}

// Starting points

async function load(source) {
  const { settings } = await get("/api/new/settings", { source });
  page.form.load(settings);
  const recipe = page.sources.recipes.find((one) => source === `recipe:${one.name}`);
  page.summary = recipe?.summary ?? "";
  byId("summary").textContent = page.form.help(page.summary);
  schedule();
}

function sourceOptions() {
  const group = (key, names, kind) => {
    const node = make("optgroup", {}, ...names.map((name) => make("option", { value: `${kind}:${name}` }, name)));
    node.label = word(key);
    return names.length ? node : "";
  };
  return [group("new.recipes", page.sources.recipes.map((one) => one.name), "recipe"), group("new.runs", page.sources.runs, "run")];
}

// Settings of two runs

const showDifferences = safely(async () => {
  const [left, right] = [byId("left").value, byId("right").value];
  const { differences } = await get("/api/new/differences", { left, right });
  const cell = (value) => make("td", {}, value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const rows = differences.map((row) => make("tr", {}, make("td", {}, make("code", {}, row.key)), cell(row.left), cell(row.right)));
  const head = make("tr", {}, say(make("th"), "new.setting"), make("th", {}, left.split(":")[1]), make("th", {}, right.split(":")[1]));
  byId("differences").replaceChildren(rows.length ? make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)) : say(make("p", { class: "small" }), "new.same"));
});

// Start

const begin = safely(async () => {
  byId("start").disabled = true;
  const job = await post("/api/new/start", { settings: page.form.settings });
  page.started = job.id;
  byId("command").textContent = job.command.join(" ");
  notify("new.started", { process: job.pid });
  byId("output").hidden = false;
  await follow();
});

/** Until the run's folder is there, whose page then takes over; an error of the command is shown here. */
async function follow() {
  const { job, run, output } = await get(`/api/new/started/${page.started}`);
  byId("output").textContent = output.join("\n");
  if (run) location.assign(`/run/${encodeURIComponent(run)}`);
  else if (job.is_running) setTimeout(safely(follow), 1000);
  else {
    byId("start").disabled = false;
    notify("new.ended", { code: job.exit_code ?? "?" }, { wrong: true, detail: output.at(-1) ?? "" });
  }
}

// Page

function build(main) {
  const select = (id, action) => {
    const node = make("select", { id }, ...sourceOptions());
    node.addEventListener("change", action);
    return node;
  };
  const startButton = say(make("button", { id: "start", type: "button", class: "primary", disabled: true }), "new.start");
  startButton.addEventListener("click", begin);
  const differ = say(make("button", { id: "compare-settings", type: "button" }), "new.compare");
  differ.addEventListener("click", showDifferences);
  const gpu = make("select", { id: "gpu" }, say(make("option", { value: "" }), "new.here"), ...page.sources.gpus.map((one) => make("option", { value: one.name }, one.title)));
  gpu.addEventListener("change", schedule);
  main.append(
    say(make("h1"), "nav.new"),
    make("p", { class: "row" }, make("label", { class: "row" }, say(make("span"), "new.from"), select("source", safely((event) => load(event.target.value))))),
    make("p", { id: "summary", class: "small" }),
    make(
      "div",
      { class: "beside" },
      page.form.root,
      make(
        "div",
        { class: "side" },
        make("p", { id: "problem", class: "problem", role: "alert" }),
        make("section", { class: "panel" }, make("p", { class: "row" }, say(make("h3"), "new.plan"), gpu), page.plan.root),
        make("section", { class: "panel" }, say(make("h3"), "new.file"), make("pre", { id: "yaml" }), make("pre", { id: "command" }), make("p", {}, startButton), make("pre", { id: "output", class: "log", hidden: true })),
      )
    ),
    say(make("h2"), "new.rows"),
    page.rows.root,
    say(make("h2"), "new.differences"),
    make("p", { class: "row" }, select("left"), select("right"), differ),
    make("div", { id: "differences", class: "scroll" })
  );
}

start(
  "new",
  async (main) => {
    page.sources = await get("/api/new/schema");
    page.form = new Form(page.sources, schedule);
    page.plan = new PlanView((targets) => {
      page.form.set("adapter.targets", targets);
      page.form.draw();
    });
    page.rows = new RowPreview();
    build(main);
    const wanted = new URLSearchParams(location.search).get("from") ?? DEFAULT;
    byId("source").value = wanted;
    await load(wanted);
  },
  () => {
    page.form?.draw();
    page.plan?.draw();
    page.rows?.draw();
    if (!page.form) return;
    byId("summary").textContent = page.form.help(page.summary);
    schedule(); // what the server remarks on comes in the page's language
  }
);
