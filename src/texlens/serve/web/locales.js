// The page's texts in the reader's language. Elements with a key are updated when the language changes:
// data-t is their text, data-t-label their label and tooltip, data-t-name their label alone, data-t-alt their alt text.
import { memory } from "./dom.js";
import { en } from "./locales/en.js";
import { zh } from "./locales/zh.js";

const LANGUAGES = { en, zh };
let chosen = memory.get("language") || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
if (!(chosen in LANGUAGES)) chosen = "en";

export const language = () => chosen;
export const known = (key) => key in en;

/** word("seconds", { n: 3 }) fills {n}; an unknown key is shown as it is, so that it is noticed. */
export function word(key, values = {}) {
  const text = LANGUAGES[chosen][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export function say(node, key, values = {}) {
  node.dataset.t = key;
  node.dataset.values = JSON.stringify(values);
  node.textContent = word(key, values);
  return node;
}

export function label(node, key, values = {}) {
  node.dataset.tLabel = key;
  node.dataset.values = JSON.stringify(values);
  node.setAttribute("aria-label", word(key, values));
  node.title = word(key, values);
  return node;
}

export function chooseLanguage(name) {
  chosen = name;
  memory.set("language", name);
  sayAll();
}

export function sayAll() {
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  const values = (node) => JSON.parse(node.dataset.values || "{}");
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = word(node.dataset.t, values(node));
  for (const node of document.querySelectorAll("[data-t-label]")) label(node, node.dataset.tLabel, values(node));
  for (const node of document.querySelectorAll("[data-t-name]")) node.setAttribute("aria-label", word(node.dataset.tName));
  for (const node of document.querySelectorAll("[data-t-alt]")) node.alt = word(node.dataset.tAlt);
}
