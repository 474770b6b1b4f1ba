// A formula to the clipboard as LaTeX, Markdown, MathML, SVG or PNG.
import { blobOf, canvasOf } from "./dom.js";
import { loaded, onWhite } from "./picture.js";
import { Refused } from "./requests.js";

export const KINDS = ["latex", "markdown", "mathml", "svg", "png"];
const PIXELS_PER_EM = 48;
const PADDING_EM = 0.25;

/** `drawn` is the answer of /ui/render for `latex`. */
export async function copy(kind, latex, drawn) {
  const text = { latex, markdown: `$$${latex}$$`, mathml: drawn?.mathml, svg: drawn?.svg && inBlack(drawn.svg) }[kind];
  if (kind === "png" ? !drawn?.svg : !text) throw new Refused("copy.nothing", { kind: `copy.${kind}` });
  try {
    if (kind !== "png") await navigator.clipboard.writeText(text);
    else await navigator.clipboard.write([new ClipboardItem({ "image/png": pngOf(drawn.svg) })]);
  } catch {
    throw new Refused("copy.refused");
  }
}

const inBlack = (svg) => svg.replaceAll("currentColor", "#000");

/** The picture of one of our SVGs, black on white. */
export async function pngOf(svg) {
  const root = new DOMParser().parseFromString(inBlack(svg), "image/svg+xml").documentElement;
  const [x, y, w, h] = root.getAttribute("viewBox").split(" ").map(Number);
  const [width, height] = [w + 2 * PADDING_EM, h + 2 * PADDING_EM];
  root.setAttribute("viewBox", [x - PADDING_EM, y - PADDING_EM, width, height].join(" "));
  root.setAttribute("width", width * PIXELS_PER_EM);
  root.setAttribute("height", height * PIXELS_PER_EM);
  const image = await loaded(new Blob([new XMLSerializer().serializeToString(root)], { type: "image/svg+xml" }));
  const canvas = canvasOf(width * PIXELS_PER_EM, height * PIXELS_PER_EM);
  onWhite(canvas).drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return blobOf(canvas);
}
