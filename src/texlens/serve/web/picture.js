// An image as it is shown and sent: { blob, width, height, name, url, shrunk }.
import { blobOf, canvasOf } from "./dom.js";

const SENT_AS_THEY_ARE = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];
const MAX_BYTES = 16_000_000;
const MAX_PIXELS = 16_000_000;

/** What the reader is told: a key of the words and its values. */
export class Refused extends Error {
  constructor(key, values = {}, detail = "") {
    super(key);
    Object.assign(this, { key, values, detail });
  }
}

/** Whatever the browser can show; what the server would find too large or can't read is drawn anew, smaller. */
export async function pictureOf(blob, name = "") {
  const called = name || blob.name || "image";
  if (blob.type && !blob.type.startsWith("image/")) throw new Refused("error.not_image", { name: called });
  const image = await loaded(blob, called);
  const width = image.naturalWidth || 800;
  const height = image.naturalHeight || 300;
  if (SENT_AS_THEY_ARE.includes(blob.type) && blob.size <= MAX_BYTES && width * height <= MAX_PIXELS) {
    return { blob, width, height, name: called, url: image.src, shrunk: false };
  }
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (width * height)));
  const canvas = canvasOf(width * scale, height * scale);
  const pen = onWhite(canvas);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  const drawn = await blobOf(canvas, blob.type === "image/jpeg" ? "image/jpeg" : "image/png");
  if (drawn.size > MAX_BYTES) throw new Refused("error.too_large");
  return { blob: drawn, width: canvas.width, height: canvas.height, name: called, url: URL.createObjectURL(drawn), shrunk: scale < 1 };
}

export async function loaded(blob, name = "image") {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(image.src);
    throw new Refused("error.unreadable", { name });
  }
  return image;
}

export function onWhite(canvas) {
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  return pen;
}

/** A small data URI for the history. */
export async function thumbnail(picture) {
  const image = await loaded(picture.blob);
  const scale = Math.min(1, 320 / picture.width, 120 / picture.height);
  const canvas = canvasOf(picture.width * scale, picture.height * scale);
  onWhite(canvas).drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return canvas.toDataURL("image/png");
}
