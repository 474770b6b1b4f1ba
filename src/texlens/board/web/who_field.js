// The name that edits and corrections are recorded under; the browser keeps it.
import { make, memory } from "./dom.js";
import { label, word } from "./locales.js";

export function whoField(attributes = {}) {
  const field = label(make("input", { type: "text", maxlength: 100, autocomplete: "off", placeholder: word("who"), ...attributes }), "who");
  field.value = memory.get("who") ?? "";
  field.addEventListener("change", () => memory.set("who", field.value));
  return field;
}
