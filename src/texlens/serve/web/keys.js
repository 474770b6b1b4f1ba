// Keyboard shortcuts and their list.
import { byId, isTyping, make, memory } from "./dom.js";
import { say } from "./locales.js";

const SHORTCUTS = [
  ["Ctrl V", "key.paste"],
  ["Enter", "key.read"],
  ["Ctrl Enter", "key.read.typing"],
  ["Esc", "key.escape"],
  ["O", "key.open"],
  ["D", "key.draw"],
  ["K", "key.camera"],
  ["X", "key.crop"],
  ["E", "key.edit"],
  ["C", "key.latex"],
  ["M", "key.mathml"],
  ["S", "key.svg"],
  ["P", "key.png"],
  ["Ctrl Z", "key.undo"],
  ["L", "key.language"],
  ["T", "key.theme"],
  ["?", "key.help"],
];

/** `actions` are functions by letter, and by "enter", "ctrl-enter", "escape" and "undo". */
export function watchKeys(actions) {
  const letters = byId("letters");
  letters.checked = memory.get("letters") !== "off";
  letters.addEventListener("change", () => memory.set("letters", letters.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || byId("help").open) return;
    const action = actions[nameOf(event, letters.checked)];
    if (action && action() !== false) event.preventDefault();
  });
  const help = byId("help");
  byId("help-list").append(
    ...SHORTCUTS.flatMap(([keys, text]) => [make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))), say(make("dd"), text)])
  );
  byId("help-open").addEventListener("click", () => help.showModal());
  help.addEventListener("click", (event) => event.target === help && help.close());
}

function nameOf(event, letters) {
  const { key, target } = event;
  const control = event.ctrlKey || event.metaKey;
  if (key === "Escape") return "escape";
  if (key === "Enter" && control) return "ctrl-enter";
  if (key === "Enter") return !target.closest?.("button, a, textarea, select, input:not([type=checkbox], [type=range])") ? "enter" : null;
  if (isTyping(target)) return null;
  if (control) return key.toLowerCase() === "z" && !event.shiftKey ? "undo" : null;
  return letters && !event.altKey && key.length === 1 ? key.toLowerCase() : null;
}
