// A form that opens something by its name.
import { make } from "./dom.js";
import { safely } from "./frame.js";
import { say } from "./locales.js";

/** A text field with its words. */
export const textField = (id, key, attributes = {}) =>
  make("label", {}, say(make("span"), key), make("input", { id, type: "text", spellcheck: "false", autocomplete: "off", ...attributes }));

/** `open` gets the texts of the fields, in their order. */
export function openForm(fields, key, open) {
  const form = make("form", { class: "open-data panel" }, ...fields, say(make("button", { type: "submit", class: "primary" }), key));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    safely(() => open(...[...form.querySelectorAll("input")].map((input) => input.value.trim())))();
  });
  return form;
}
