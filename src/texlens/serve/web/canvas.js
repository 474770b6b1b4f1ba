// Drawing a formula with pen, finger or mouse. Points are in CSS pixels, so that a rotated phone keeps the strokes.
import { blobOf, canvasOf } from "./dom.js";
import { onWhite } from "./picture.js";

const MARGIN = 16;
const SCALE = 2;

export class DrawingCanvas {
  constructor(canvas, { width, changed }) {
    this.canvas = canvas;
    this.width = width;
    this.strokes = [];
    this.changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.end());
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  get empty() {
    return this.strokes.length === 0;
  }

  begin(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true }); // so that Enter reads instead of clicking a button again
    this.canvas.setPointerCapture?.(event.pointerId);
    this.stroke = { width: this.width(), points: [] };
    this.strokes.push(this.stroke);
    this.add(event);
  }

  move(event) {
    if (!this.stroke || !event.isPrimary) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const point of all.length ? all : [event]) this.add(point);
  }

  end() {
    if (!this.stroke) return;
    this.stroke = null;
    this.changed();
  }

  add(event) {
    const box = this.canvas.getBoundingClientRect();
    const pressure = event.pointerType === "pen" && event.pressure ? 0.4 + 1.2 * event.pressure : 1;
    this.stroke.points.push([event.clientX - box.left, event.clientY - box.top, pressure]);
    this.redraw();
  }

  undo() {
    this.strokes.pop();
    this.redraw();
    this.changed();
  }

  clear() {
    this.strokes = [];
    this.redraw();
    this.changed();
  }

  redraw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio)) this.canvas.width = Math.round(width * ratio);
    if (this.canvas.height !== Math.round(height * ratio)) this.canvas.height = Math.round(height * ratio);
    const context = onWhite(this.canvas);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint(context, this.strokes);
    context.setTransform(1, 0, 0, 1, 0, 0);
  }

  /** The ink and a margin around it, black on white. */
  async blob() {
    const reach = this.strokes.flatMap(({ width, points }) => points.map(([x, y, p]) => [x, y, (width * p) / 2]));
    const left = Math.min(...reach.map(([x, , r]) => x - r)) - MARGIN;
    const top = Math.min(...reach.map(([, y, r]) => y - r)) - MARGIN;
    const right = Math.max(...reach.map(([x, , r]) => x + r)) + MARGIN;
    const bottom = Math.max(...reach.map(([, y, r]) => y + r)) + MARGIN;
    const canvas = canvasOf((right - left) * SCALE, (bottom - top) * SCALE);
    const context = onWhite(canvas);
    context.setTransform(SCALE, 0, 0, SCALE, -left * SCALE, -top * SCALE);
    paint(context, this.strokes);
    return blobOf(canvas);
  }
}

function paint(context, strokes) {
  context.fillStyle = context.strokeStyle = "#111";
  context.lineCap = context.lineJoin = "round";
  for (const { width, points } of strokes) {
    const [[x0, y0, p0]] = points;
    context.beginPath();
    context.arc(x0, y0, (width * p0) / 2, 0, 2 * Math.PI);
    context.fill();
    let from = points[0];
    for (let i = 1; i < points.length; i += 1) {
      // through the middles of neighbors, each point pulling: smooth without a lag
      const [x, y, p] = points[i];
      const to = i + 1 < points.length ? [(x + points[i + 1][0]) / 2, (y + points[i + 1][1]) / 2] : [x, y];
      context.lineWidth = width * p;
      context.beginPath();
      context.moveTo(from[0], from[1]);
      context.quadraticCurveTo(x, y, to[0], to[1]);
      context.stroke();
      from = to;
    }
  }
}
