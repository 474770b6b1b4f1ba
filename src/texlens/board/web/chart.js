// Line charts as SVG: axes with round ticks, one line a series, the values under the pointer.
import { make } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [560, 220, 52, 10, 10, 24];
const MAX_POINTS = 400;
const LOG_FROM_RATIO = 30;

/** A figure for an element's life; draw({ title, series: [{ name, style, points: [[x, y]] }], share }) fills it. */
export class LineChart {
  constructor() {
    this.svg = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: "0" });
    this.caption = make("figcaption");
    this.readout = make("p", { class: "readout small", role: "status" });
    this.figure = make("figure", { class: "panel chart-panel", hidden: true }, this.caption, this.svg, this.readout);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
  }

  draw({ title, series, share = false }) {
    const lines = series.map((line) => ({ ...line, points: thinned(line.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y))) }));
    this.lines = lines.filter((line) => line.points.length);
    this.figure.hidden = !this.lines.length;
    if (!this.lines.length) return;
    this.share = share;
    this.scale();
    const keys = this.lines.map((line) => make("span", { class: "key" }, make("i", { class: `swatch ${line.style}` }), line.name));
    this.caption.replaceChildren(make("h3", {}, title), make("span", { class: "legend" }, ...(this.lines.length > 1 ? keys : [])));
    this.svg.setAttribute("aria-label", `${title}: ${this.lines.map((line) => `${line.name} ${this.form(line.points.at(-1)[1])}`).join(", ")}`);
    this.svg.replaceChildren(...this.grid(), ...this.lines.flatMap((line) => this.line(line)));
    this.leave();
  }

  scale() {
    const all = this.lines.flatMap((line) => line.points);
    const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
    const [low, high] = [Math.min(...ys), Math.max(...ys)];
    this.log = !this.share && low > 0 && high / low > LOG_FROM_RATIO;
    const span = high - low || Math.abs(high) || 1;
    const [bottom, top] = this.share ? [0, 1] : this.log ? [low, high] : [low > 0 && low < span ? 0 : low - 0.05 * span, high + 0.05 * span];
    this.x = axis(Math.min(...xs), Math.max(...xs), LEFT, WIDTH - RIGHT, false);
    this.y = axis(bottom, top, HEIGHT - BOTTOM, TOP, this.log);
  }

  form(value) {
    return this.share ? `${(100 * value).toFixed(1)}%` : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(4)));
  }

  grid() {
    const parts = [];
    for (const tick of this.y.ticks) {
      const at = this.y.at(tick);
      parts.push(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }));
      parts.push(text(this.share ? `${Math.round(100 * tick)}%` : short(tick), { x: LEFT - 6, y: at + 4, "text-anchor": "end" }));
    }
    for (const tick of this.x.ticks) parts.push(text(short(tick), { x: this.x.at(tick), y: HEIGHT - 6, "text-anchor": this.x.at(tick) > WIDTH - 30 ? "end" : "middle" }));
    return parts;
  }

  line({ points, style }) {
    const places = points.map(([x, y]) => `${this.x.at(x)},${this.y.at(y)}`).join(" ");
    const dots = points.length <= 30 ? points.map(([x, y]) => svg("circle", { class: `dot ${style}`, cx: this.x.at(x), cy: this.y.at(y), r: 2.5 })) : [];
    return [svg("polyline", { class: `line ${style}`, points: places }), ...dots];
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    const nearest = this.lines.map((line) => line.points.reduce((best, point) => (Math.abs(this.x.at(point[0]) - place) < Math.abs(this.x.at(best[0]) - place) ? point : best)));
    const step = nearest.reduce((best, point) => (Math.abs(this.x.at(point[0]) - place) < Math.abs(this.x.at(best[0]) - place) ? point : best))[0];
    const at = this.x.at(step);
    this.svg.querySelector(".guide")?.remove();
    this.svg.append(svg("line", { class: "guide", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
    this.readout.textContent = `${short(step)}: ${this.lines.map((line, index) => `${line.name} ${this.form(nearest[index][1])}`).join(" · ")}`;
  }

  /** Without a pointer, the last values. */
  leave() {
    this.svg.querySelector(".guide")?.remove();
    this.readout.textContent = this.lines.map((line) => `${line.name} ${this.form(line.points.at(-1)[1])}`).join(" · ");
  }
}

function axis(low, high, start, end, log) {
  const to = (value) => (log ? Math.log(value) : value);
  const span = to(high) - to(low);
  const at = (value) => Math.round(10 * (start + (span ? (to(value) - to(low)) / span : 0.5) * (end - start))) / 10;
  return { at, ticks: log ? logTicks(low, high) : roundTicks(low, high) };
}

/** Multiples of 1, 2 or 5 times a power of ten within [low, high], six at most. */
export function roundTicks(low, high, most = 5) {
  if (high <= low) return [low];
  const rough = (high - low) / most;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough * (1 - 1e-9));
  const ticks = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + 1e-9 * step; index += 1) ticks.push(Number((index * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) ticks.push(10 ** power, 3 * 10 ** power);
  const inside = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return inside.length > 7 ? inside.filter((_, index) => index % 2 === 0) : inside;
}

/** At most MAX_POINTS: the mean of each stretch of neighbors, at the stretch's last step. */
function thinned(points) {
  const size = Math.ceil(points.length / MAX_POINTS);
  if (size <= 1) return points;
  const means = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    means.push([part.at(-1)[0], part.reduce((sum, [, y]) => sum + y, 0) / part.length]);
  }
  return means;
}

const short = (value) => (Math.abs(value) >= 1000 ? value.toLocaleString("en-US") : String(Number(value.toPrecision(3))));

function svg(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function text(content, attributes) {
  const node = svg("text", { class: "tick", ...attributes });
  node.textContent = content;
  return node;
}
