// What a run would cost: parameters, the table of what is adapted, tokens, steps, memory and time, warnings.
import { post } from "./api.js";
import { make } from "./dom.js";
import { safely } from "./frame.js";
import { say, word } from "./locales.js";
import { duration, number } from "./numbers.js";

const TARGETS = ["text-attention", "text-mlp", "vision", "merger"];

export class PlanView {
  /** `choose("a, b")` sets the adapter's targets. */
  constructor(choose) {
    this.choose = choose;
    this.root = make("div", { id: "plan" });
    this.plan = null;
    this.turn = 0;
  }

  /** One plan at a time; while it is computed the newest request waits, and older ones are dropped. */
  update(settings, gpu) {
    this.next = { settings, gpu };
    this.root.classList.add("waiting");
    if (!this.busy) this.work();
  }

  async work() {
    this.busy = true;
    while (this.next) {
      const request = this.next;
      this.next = null;
      [this.plan, this.problem] = await post("/api/new/plan", request).then(
        (plan) => [plan, null],
        (error) => [null, error.detail || word(error.key ?? "error.other")]
      );
      safely(async () => this.draw())();
    }
    this.busy = false;
    this.root.classList.remove("waiting");
  }

  draw() {
    if (this.problem) return this.root.replaceChildren(make("p", { class: "problem" }, this.problem));
    if (!this.plan) return say(this.root, "new.planning");
    delete this.root.dataset.t;
    const { parameters, coverage, tokens, steps, notes, on_gpu: gpu, on_cpu: cpu } = this.plan;
    const facts = [
      ["parameters", `${number(parameters.trainable)} / ${number(parameters.total)}`],
      ["rows", tokens && number(tokens.rows)],
      ["tokens", tokens && `${tokens.exact ? "" : "≈ "}${number(tokens.per_sample)} (${number(tokens.longest)})`],
      ["steps", steps && number(steps)],
      ["memory", gpu && `${gpu.memory.total_gib.toFixed(1)} / ${gpu.gpu.memory_gib.toFixed(1)} GiB`],
      ["speed", gpu ? gpu.rows_per_s.toFixed(1) : cpu?.rows_per_s?.toPrecision(2)],
      ["time", timeOf(this.plan)],
      ["reading", reading(gpu ?? cpu)],
    ];
    const list = facts.filter(([, value]) => value).map(([key, value]) => make("div", {}, say(make("dt"), `plan.${key}`), make("dd", { "data-plan": key }, String(value))));
    const warnings = [...notes, ...(gpu?.notes ?? []), ...(cpu?.notes ?? [])].map((note) => make("li", {}, note));
    return this.root.replaceChildren(
      verdict(gpu),
      make("dl", { class: "facts" }, ...list),
      this.coverage(coverage),
      memory(gpu),
      make("ul", { class: "warnings small" }, ...warnings)
    );
  }

  /** A group's box puts it into `adapter.targets` or takes it out. */
  coverage(rows) {
    const chosen = new Set(rows.filter((row) => row.matched).map((row) => row.group));
    const head = make("tr", {}, ...["group", "adapted", "trainable"].map((key) => say(make("th", key === "group" ? {} : { class: "n" }), `plan.${key}`)));
    const body = rows.map((row) => {
      const box = make("input", { type: "checkbox", checked: row.matched > 0, disabled: !TARGETS.includes(row.group), "data-group": row.group });
      box.addEventListener("change", () => {
        if (box.checked) chosen.add(row.group);
        else chosen.delete(row.group);
        this.choose(TARGETS.filter((group) => chosen.has(group)).join(", "));
      });
      const cells = [make("td", {}, make("label", { class: "check" }, box, row.group))];
      cells.push(make("td", { class: "n" }, `${row.matched} / ${row.total}`), make("td", { class: "n" }, number(row.parameters)));
      return make("tr", {}, ...cells);
    });
    return make("table", { id: "coverage" }, make("thead", {}, head), make("tbody", {}, ...body));
  }
}

function verdict(gpu) {
  if (!gpu) return "";
  const text = say(make("p", { class: `badge ${gpu.fits ? "exact" : "off"}` }), gpu.fits ? "plan.fits" : "plan.does_not_fit");
  const change = Object.entries(gpu.change ?? {}).map(([key, value]) => `${key}=${value}`);
  return gpu.fits || !change.length ? text : make("div", {}, text, make("p", { class: "small" }, change.join(" ")));
}

function memory(gpu) {
  if (!gpu) return "";
  const parts = Object.entries(gpu.memory.parts_gib).filter(([, size]) => size >= 0.005);
  const rows = parts.map(([name, size]) => make("tr", {}, make("td", {}, name), make("td", { class: "n" }, `${size.toFixed(2)} GiB`)));
  return make("details", {}, say(make("summary"), "plan.parts"), make("table", {}, make("tbody", {}, ...rows)));
}

function timeOf({ on_gpu: gpu, on_cpu: cpu }) {
  if (gpu?.seconds_per_epoch) return word("plan.epoch", { time: duration(gpu.seconds_per_epoch) });
  return cpu?.seconds ? duration(cpu.seconds) : "";
}

function reading(plan) {
  return plan?.evaluation ? `${duration(plan.evaluation.seconds)}, ${number(plan.evaluation.rows)}` : "";
}
