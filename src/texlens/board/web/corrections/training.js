// Training: what is missing before it, how far it is, and the paired test of each round.
import { make } from "../dom.js";
import { say } from "../locales.js";
import { interval, number } from "../numbers.js";

const DIGITS = 2;

export function drawTraining(box, overview, train) {
  const { job, training } = overview;
  const isRunning = Boolean(job?.is_running);
  const button = say(make("button", { type: "button", class: "primary", id: "train", disabled: isRunning || (Boolean(overview.missing) && !overview.open_round) }), overview.open_round ? "learn.go-on" : "learn.train");
  const settings = box.querySelector("details.settings") ?? roundSettings();
  button.addEventListener("click", () => train(chosenSettings(settings)));
  const state = isRunning
    ? say(make("span"), training ? "learn.training" : "learn.reading", {
        round: training?.round ?? "",
        step: training?.step ?? "–",
        loss: training?.loss?.toFixed(DIGITS) ?? "–",
        n: number(overview.read),
        total: number(overview.images),
      })
    : say(make("span"), overview.missing && !overview.open_round ? "learn.missing" : "learn.ready", {
        train: overview.corrected.train,
        held: overview.corrected.hold_out,
      });
  const log = job?.log ? make("details", {}, say(make("summary"), "learn.log"), make("pre", { class: "log" }, job.log)) : "";
  if (!settings.isConnected) {
    const panel = make("div", { class: "panel" }, make("div", { class: "actions" }), settings, make("div", { class: "process" }));
    box.replaceChildren(say(make("h2"), "learn.learn"), panel);
  }
  // the settings stay where they are, so that a redraw does not take the focus while someone types
  box.querySelector(".actions").replaceChildren(button, state);
  box.querySelector(".process").replaceChildren(log);
}

/** What a round may be given: rows of the old kind, and settings of the run file. */
function roundSettings() {
  const rehearsal = make("input", { type: "number", min: 0, value: 100, id: "rehearsal" });
  const overrides = make("textarea", { rows: 2, spellcheck: "false", placeholder: "train.epochs=10", id: "overrides" });
  return make(
    "details",
    { class: "settings" },
    say(make("summary"), "learn.settings"),
    make("label", {}, say(make("span"), "learn.rehearsal"), rehearsal),
    make("label", {}, say(make("span"), "learn.overrides"), overrides)
  );
}

function chosenSettings(box) {
  const lines = box.querySelector("#overrides").value.split("\n").map((line) => line.trim());
  return { rehearsal: Number(box.querySelector("#rehearsal").value), overrides: lines.filter(Boolean) };
}

export function drawRounds(box, overview, choose) {
  const rounds = [...overview.rounds].reverse();
  box.replaceChildren(...(rounds.length ? [say(make("h2"), "learn.rounds")] : []), ...rounds.map((round, index) => panel(round, index === 0, choose)));
}

function panel(round, isLast, choose) {
  const rows = [testRow("learn.hold-out", round.hold_out), ...(round.guard ? [testRow("learn.guard", round.guard)] : [])];
  const head = ["", "rows", "before", "after", "difference", "gained", "lost", "p"].map((name) => (name ? say(make("th"), `learn.table.${name}`) : make("th")));
  const verdict = say(make("span", { class: `delta ${round.kept ? "better" : "worse"}` }), round.kept ? "learn.kept" : "learn.discarded");
  const other = say(make("button", { type: "button", class: "plain" }), round.kept ? "learn.do.discard" : "learn.do.keep");
  other.addEventListener("click", () => choose(round.number, !round.kept));
  return make(
    "div",
    { class: "panel learn-round" },
    make("div", { class: "detail-head" }, say(make("h3"), "learn.round", { n: round.number }), verdict, isLast ? other : ""),
    say(make("p", { class: "small" }), `learn.outcome.${round.outcome}`),
    make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))),
    say(make("p", { class: "small" }), "learn.trained-on", { n: round.trained_rows, rehearsal: round.rehearsal_rows, shared: round.shared_labels }),
    ...(round.chosen_by ? [say(make("p", { class: "small" }), "learn.chosen", { who: round.chosen_by })] : [])
  );
}

function testRow(key, test) {
  const p = test.p_value < 0.001 ? test.p_value.toExponential(0) : test.p_value.toFixed(3);
  const numbers = [number(test.rows), interval(test.before), interval(test.after), interval(test.difference), number(test.gained), number(test.lost), p];
  return make("tr", {}, say(make("th", { scope: "row" }), key), ...numbers.map((value) => make("td", { class: "n" }, value)));
}
