// Curves of several runs in one chart each.
import { get } from "./api.js";
import { LineChart } from "./chart.js";
import { make } from "./dom.js";
import { safely } from "./frame.js";
import { word } from "./locales.js";

const STYLES = ["s1", "s2", "s3", "s0", "s1 dashed", "s2 dashed", "s3 dashed", "s0 dashed"];
const MEASURES = ["loss", "eval_loss", "eval_exact_match", "learning_rate", "grad_norm", "samples_per_s"];

export class OverlaidCurves {
  constructor(names, chosen) {
    [this.names, this.chosen] = [names, chosen];
    this.selected = [];
    this.rows = new Map();
    this.charts = MEASURES.map(() => new LineChart());
    this.boxes = make("div", { class: "legend", id: "curve-runs" });
    this.root = make("section", {}, this.boxes, make("div", { class: "charts", id: "curves" }, ...this.charts.map((chart) => chart.figure)));
  }

  async choose(names) {
    this.selected = names.filter((name) => this.names.includes(name)).slice(0, STYLES.length);
    this.drawBoxes();
    for (const name of this.selected) {
      if (!this.rows.has(name)) this.rows.set(name, (await get(`/api/run/${encodeURIComponent(name)}/metrics`)).rows);
    }
    this.draw();
  }

  drawBoxes() {
    const boxes = this.names.slice(0, 60).map((name) => {
      const box = make("input", { type: "checkbox", checked: this.selected.includes(name), "data-run": name });
      box.addEventListener("change", safely(async () => {
        const names = box.checked ? [...this.selected, name] : this.selected.filter((other) => other !== name);
        this.chosen(names);
        await this.choose(names);
      }));
      return make("label", { class: "check" }, box, name);
    });
    this.boxes.replaceChildren(...boxes);
  }

  draw() {
    MEASURES.forEach((measure, index) => {
      const series = this.selected.map((name, number) => ({
        name,
        style: STYLES[number],
        points: (this.rows.get(name) ?? []).filter((row) => typeof row[measure] === "number").map((row) => [row.step, row[measure]]),
      }));
      this.charts[index].draw({ title: word(`measure.${measure}`), series, share: measure === "eval_exact_match" });
    });
  }
}
