// An image as it is shown and sent: { blob, width, height, name, url, shrunk }.
import { blobOf, canvasOf } from "./dom.js";
import { Refused } from "./requests.js";

const SENT_UNCHANGED = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];
const MAX_BYTES = 16_000_000;
const MAX_PIXELS = 16_000_000;

/** Any image that the browser can show; one that is too large for the server, or of another format, is redrawn. */
export async function pictureOf(blob, name = "") {
  const label = name || blob.name || "image";
  if (blob.type && !blob.type.startsWith("image/")) throw new Refused("error.not_image", { name: label });
  const image = await loaded(blob, label);
  const width = image.naturalWidth || 800;
  const height = image.naturalHeight || 300;
  if (SENT_UNCHANGED.includes(blob.type) && blob.size <= MAX_BYTES && width * height <= MAX_PIXELS) {
    return { blob, width, height, name: label, url: image.src, shrunk: false };
  }
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (width * height)));
  const canvas = canvasOf(width * scale, height * scale);
  const context = onWhite(canvas);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  const redrawn = await blobOf(canvas, blob.type === "image/jpeg" ? "image/jpeg" : "image/png");
  if (redrawn.size > MAX_BYTES) throw new Refused("error.too_large");
  return { blob: redrawn, width: canvas.width, height: canvas.height, name: label, url: URL.createObjectURL(redrawn), shrunk: scale < 1 };
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
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return context;
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
