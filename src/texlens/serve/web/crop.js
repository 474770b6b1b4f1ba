// Choosing a part of an image: drag a frame, or move it with the arrow keys. The frame is in pixels of the image.
import { blobOf, canvasOf } from "./dom.js";
import { loaded } from "./picture.js";

const MIN_SIZE = 8;
const MAX_SCALE = 3; // CSS pixels to a pixel of the image
const GRIP = 14; // distance from an edge or corner, in CSS pixels, within which it is dragged

export class Crop {
  constructor(canvas, { changed }) {
    this.canvas = canvas;
    this.changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.held = null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  async open(picture) {
    const turn = (this.turn = picture);
    const image = await loaded(picture.blob, picture.name);
    if (turn !== this.turn) return; // closed meanwhile
    this.image = image;
    const { naturalWidth: width, naturalHeight: height } = this.image;
    this.frame = { x: width * 0.1, y: height * 0.1, w: width * 0.8, h: height * 0.8 };
    this.redraw();
    this.canvas.focus({ preventScroll: true });
  }

  close() {
    if (this.image) URL.revokeObjectURL(this.image.src);
    this.image = this.held = this.turn = null;
  }

  async blob() {
    const { x, y, w, h } = this.pixels();
    const canvas = canvasOf(w, h);
    canvas.getContext("2d").drawImage(this.image, x, y, w, h, 0, 0, w, h);
    return blobOf(canvas);
  }

  /** The frame in whole pixels. */
  pixels() {
    const { x, y, w, h } = this.frame;
    return { x: Math.round(x), y: Math.round(y), w: Math.max(1, Math.round(w)), h: Math.max(1, Math.round(h)) };
  }

  get scale() {
    return Math.min(MAX_SCALE, this.canvas.clientWidth / this.image.naturalWidth, this.canvas.clientHeight / this.image.naturalHeight);
  }

  get origin() {
    return {
      x: (this.canvas.clientWidth - this.image.naturalWidth * this.scale) / 2,
      y: (this.canvas.clientHeight - this.image.naturalHeight * this.scale) / 2,
    };
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left - this.origin.x) / this.scale, y: (event.clientY - box.top - this.origin.y) / this.scale };
  }

  begin(event) {
    if (!this.image || event.button !== 0 || !event.isPrimary) return;
    this.canvas.setPointerCapture?.(event.pointerId);
    const point = this.at(event);
    this.held = { from: point, frame: { ...this.frame }, ...this.grip(point) };
  }

  /** Which edges the point is at; none inside is a move, outside begins a new frame. */
  grip(point) {
    const { x, y, w, h } = this.frame;
    const near = GRIP / this.scale;
    const inside = point.x > x - near && point.x < x + w + near && point.y > y - near && point.y < y + h + near;
    if (!inside) return { kind: "new" };
    const across = Math.abs(point.x - x) < near ? -1 : Math.abs(point.x - x - w) < near ? 1 : 0;
    const down = Math.abs(point.y - y) < near ? -1 : Math.abs(point.y - y - h) < near ? 1 : 0;
    return across || down ? { kind: "edge", across, down } : { kind: "move" };
  }

  go(event) {
    if (!this.image) return;
    const point = this.at(event);
    if (!this.held) {
      this.canvas.style.cursor = cursorOf(this.grip(point));
      return;
    }
    const { from, frame, kind, across, down } = this.held;
    const dx = point.x - from.x;
    const dy = point.y - from.y;
    if (kind === "move") this.moveTo({ ...frame, x: frame.x + dx, y: frame.y + dy });
    else if (kind === "new") this.stretch(from.x, from.y, point.x, point.y);
    else
      this.stretch(
        frame.x + (across < 0 ? dx : 0),
        frame.y + (down < 0 ? dy : 0),
        frame.x + frame.w + (across > 0 ? dx : 0),
        frame.y + frame.h + (down > 0 ? dy : 0)
      );
  }

  key(event) {
    if (!this.image) return;
    const step = 10 / this.scale;
    const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [];
    if (dx === undefined) return;
    event.preventDefault();
    const { x, y, w, h } = this.frame;
    if (event.shiftKey) this.stretch(x, y, x + Math.max(MIN_SIZE, w + dx), y + Math.max(MIN_SIZE, h + dy));
    else this.moveTo({ x: x + dx, y: y + dy, w, h });
  }

  stretch(x0, y0, x1, y1) {
    const { naturalWidth: width, naturalHeight: height } = this.image;
    const clamp = (value, max) => Math.min(max, Math.max(0, value));
    const [left, right] = [clamp(Math.min(x0, x1), width), clamp(Math.max(x0, x1), width)];
    const [top, bottom] = [clamp(Math.min(y0, y1), height), clamp(Math.max(y0, y1), height)];
    this.moveTo({ x: left, y: top, w: right - left, h: bottom - top });
  }

  moveTo({ x, y, w, h }) {
    const { naturalWidth: width, naturalHeight: height } = this.image;
    w = Math.min(width, Math.max(Math.min(MIN_SIZE, width), w));
    h = Math.min(height, Math.max(Math.min(MIN_SIZE, height), h));
    this.frame = { x: Math.min(width - w, Math.max(0, x)), y: Math.min(height - h, Math.max(0, y)), w, h };
    this.redraw();
  }

  redraw() {
    if (!this.image || !this.canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.origin.x, ratio * this.origin.y);
    const { naturalWidth: width, naturalHeight: height } = this.image;
    const { x, y, w, h } = this.frame;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(this.image, 0, 0);
    context.fillStyle = "rgb(15 18 22 / 55%)";
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(x, y, w, h);
    context.fill("evenodd");
    context.strokeStyle = context.fillStyle = "#3559e0";
    context.lineWidth = 2 / this.scale;
    context.strokeRect(x, y, w, h);
    const knob = 5 / this.scale;
    for (const [cx, cy] of [[x, y], [x + w, y], [x, y + h], [x + w, y + h]]) context.fillRect(cx - knob, cy - knob, 2 * knob, 2 * knob);
    this.changed(this.pixels());
  }
}

function cursorOf({ kind, across, down }) {
  if (kind === "new") return "crosshair";
  if (kind === "move") return "move";
  if (across && down) return across === down ? "nwse-resize" : "nesw-resize";
  return across ? "ew-resize" : "ns-resize";
}
