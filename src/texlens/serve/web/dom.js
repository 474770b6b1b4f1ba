// Finding and making elements, and settings that are kept between visits.

export const byId = (id) => document.getElementById(id);

/** make("p", { class: "small", title: "…" }, "text", node) */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** A browser may refuse storage; the choice then holds for this visit only. */
export const memory = {
  get(name) {
    try {
      return localStorage.getItem(`texlens-${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`texlens-${name}`, value);
    } catch {
      return;
    }
  },
};

/** From light to dark or back, until the next switch. */
export function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  memory.set("theme", root.dataset.theme);
}

export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return canvas;
}

export const blobOf = (canvas, type = "image/png", quality = 0.92) =>
  new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the canvas gave no image"))), type, quality)
  );

export const isTyping = (target) =>
  target instanceof HTMLElement && (target.matches("textarea, select, input:not([type=checkbox], [type=range])") || target.isContentEditable);
