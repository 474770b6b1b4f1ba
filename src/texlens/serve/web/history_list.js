// The history as a row of pictures.
import { byId, make } from "./dom.js";
import { label, language, say } from "./locales.js";

/** Shows `history`; `open(entry)` is called for the one that is chosen. Returns what draws it anew. */
export function makeShelf(history, open) {
  const draw = () => {
    const entries = history.list();
    byId("shelf").hidden = entries.length === 0;
    byId("shelf-list").replaceChildren(...entries.map((entry) => item(entry)));
    if (!history.lasting) say(document.querySelector("#shelf .shelf-head .small"), "history.none");
  };

  const item = (entry) => {
    const latex = entry.results[0].edited ?? entry.results[0].reading.latex;
    const picture = make("img", { src: entry.thumbnail, alt: "" });
    const time = make("time", { class: "small" }, new Date(entry.at).toLocaleString(language() === "zh" ? "zh-CN" : "en", { dateStyle: "short", timeStyle: "short" }));
    const show = label(make("button", { type: "button", class: "again" }, make("span", { class: "paper" }, picture), make("code", {}, latex), time), "history.open", { latex });
    show.addEventListener("click", () => open(entry));
    const remove = label(make("button", { type: "button", class: "round delete" }, "×"), "history.delete");
    remove.addEventListener("click", async () => {
      const next = remove.closest("li").nextElementSibling ?? remove.closest("li").previousElementSibling;
      const place = [...byId("shelf-list").children].indexOf(next);
      await history.remove(entry.id);
      draw();
      byId("shelf-list").children[Math.max(0, place - 1)]?.querySelector(".delete").focus();
    });
    return make("li", { "data-id": entry.id }, show, remove);
  };

  const clear = byId("shelf-clear");
  const ask = () => say(clear.firstElementChild, "history.sure", { n: history.entries.size });
  askTwice(clear, "history.clear", ask, async () => {
    await history.clear();
    draw();
  });
  draw();
  return draw;
}

/** The first press asks, a second one does it; leaving the button is a no. */
function askTwice(button, key, ask, act) {
  const rest = () => {
    button.classList.remove("asking");
    say(button.firstElementChild, key);
  };
  button.addEventListener("blur", rest);
  button.addEventListener("click", async () => {
    if (button.classList.contains("asking")) {
      rest();
      await act();
    } else {
      button.classList.add("asking");
      ask();
    }
  });
}
