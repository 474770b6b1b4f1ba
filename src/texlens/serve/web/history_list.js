// The history as a grid of thumbnails.
import { byId, make } from "./dom.js";
import { label, language, say } from "./locales.js";

/** Shows `history`; `open(entry)` is called for the one that is chosen. Returns the function that redraws it. */
export function makeHistoryList(history, open) {
  const draw = () => {
    const entries = history.list();
    byId("history").hidden = entries.length === 0;
    byId("history-list").replaceChildren(...entries.map((entry) => item(entry)));
    if (!history.lasting) say(document.querySelector("#history .history-head .small"), "history.none");
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
      const index = [...byId("history-list").children].indexOf(next);
      await history.remove(entry.id);
      draw();
      byId("history-list").children[Math.max(0, index - 1)]?.querySelector(".delete").focus();
    });
    return make("li", { "data-id": entry.id }, show, remove);
  };

  const clear = byId("history-clear");
  const ask = () => say(clear.firstElementChild, "history.sure", { n: history.entries.size });
  askTwice(clear, "history.clear", ask, async () => {
    await history.clear();
    draw();
  });
  draw();
  return draw;
}

/** The first click asks, the second one acts; leaving the button cancels. */
function askTwice(button, key, ask, act) {
  const reset = () => {
    button.classList.remove("asking");
    say(button.firstElementChild, key);
  };
  button.addEventListener("blur", reset);
  button.addEventListener("click", async () => {
    if (button.classList.contains("asking")) {
      reset();
      await act();
    } else {
      button.classList.add("asking");
      ask();
    }
  });
}
