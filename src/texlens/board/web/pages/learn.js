// Correct and learn: pictures sorted by doubt, corrected from the keyboard; then training and its paired test.
import { get, post } from "../api.js";
import { drawCorrecting } from "../corrections/correcting.js";
import { drawRounds, drawTraining } from "../corrections/training.js";
import { byId, make } from "../dom.js";
import { notify, safely, start } from "../frame.js";
import { label, say, word } from "../locales.js";
import { number } from "../numbers.js";
import { openForm, textField } from "../open_form.js";
import { whoField } from "../who_field.js";

const POLL_MS = 2000;
let key = "";
let overview = null;
let polling;

const source = () => `/api/learn/${encodeURIComponent(key)}`;

async function open(folder, model, second) {
  ({ key } = await post("/api/learn/open", { folder, model: model || null, second: second || null }));
  history.replaceState(null, "", `/learn?key=${key}`);
  await refresh(true);
  if (overview.read < overview.images) await startReading();
}

async function upload(files, name, model) {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  form.append("folder", key || name || `pictures-${new Date().toISOString().slice(0, 10)}`);
  form.append("model", model || "");
  const answer = await post("/api/learn/upload", form);
  const refused = answer.files.filter((file) => file.problem);
  if (answer.key) {
    key = answer.key;
    history.replaceState(null, "", `/learn?key=${key}`);
    await refresh(true);
    if (!overview.job?.is_running) await startReading();
  }
  if (refused.length) notify("learn.refused", {}, { detail: refused.map((file) => `${file.name}: ${file.problem}`).join("; "), wrong: true });
  else notify("learn.uploaded", { n: number(answer.files.length) });
}

async function startReading() {
  await post(`${source()}/read`);
  await refresh();
}

/** The state again, and the pictures where `withQueue`; while a process works, again and again. */
async function refresh(withQueue = false) {
  clearTimeout(polling);
  const before = overview;
  overview = await get(source());
  drawOverview();
  const hasEnded = before?.job?.is_running && !overview.job?.is_running;
  const hasMore = overview.read > (before?.read ?? 0) && !byId("correcting").firstChild;
  if (withQueue || hasEnded || hasMore) await drawQueue();
  if (hasEnded && overview.job.exit_code) notify("learn.failed", {}, { detail: lastLine(overview.job.log), wrong: true });
  if (hasEnded && overview.read < overview.images && !overview.job.exit_code) await startReading();
  else if (overview.job?.is_running) polling = setTimeout(safely(() => refresh()), POLL_MS);
}

const modelName = (path) => path.split("/").slice(-4).join("/");
const lastLine = (log) => log.trim().split("\n").pop();

function drawOverview() {
  const { corrected } = overview;
  byId("open").hidden = true;
  byId("state").replaceChildren(
    make("strong", {}, overview.folder),
    say(make("span"), "learn.model", { model: modelName(overview.model) }),
    ...(overview.second ? [say(make("span"), "learn.second", { model: modelName(overview.second) })] : []),
    say(make("span"), "learn.read", { n: number(overview.read), total: number(overview.images) }),
    say(make("span"), "learn.corrected", { n: number(corrected.train + corrected.hold_out), held: number(corrected.hold_out) }),
    ...(corrected.left_out ? [say(make("span"), "learn.left-out", { n: number(corrected.left_out) })] : []),
    uploadButton(),
    ...Object.entries(overview.unreadable).map(([name, reason]) => make("div", { class: "reason" }, `${name}: ${reason}`))
  );
  drawTraining(byId("training"), overview, safely(train));
  drawRounds(byId("rounds"), overview, safely(choose));
}

async function drawQueue() {
  const { images, waiting } = await get(`${source()}/queue`);
  drawCorrecting(byId("correcting"), images, waiting, {
    source: source(),
    send: (body) => post(`${source()}/correct`, { ...body, who: byId("who").value }),
    onChange: safely(() => refresh()),
    onEmpty: safely(() => drawQueue()),
  });
}

async function train(settings) {
  await post(`${source()}/train`, settings);
  notify("learn.started");
  await refresh();
}

async function choose(round, keep) {
  await post(`${source()}/choose`, { round, keep, who: byId("who").value });
  await refresh(true);
  if (overview.read < overview.images) await startReading();
}

function uploadButton() {
  const input = make("input", { type: "file", accept: "image/*", multiple: true, class: "hidden-file", id: "files" });
  label(input, "learn.upload");
  input.addEventListener("change", safely(() => upload(input.files, byId("new-name")?.value.trim(), byId("model")?.value.trim())));
  const button = say(make("label", { class: "plain button", for: "files" }), "learn.upload");
  return make("span", {}, input, button);
}

async function drawOpen() {
  const { known } = await get("/api/learn");
  const links = known.map((each) => make("li", {}, make("a", { href: `/learn?key=${each.key}` }, each.folder)));
  byId("open").replaceChildren(
    say(make("p", { class: "subtitle" }), "learn.about"),
    openForm(
      [textField("folder", "learn.folder"), textField("model", "learn.start-model", { placeholder: "nano" }), textField("second", "learn.second-model")],
      "learn.open",
      open
    ),
    make("div", { class: "open-data panel" }, textField("new-name", "learn.new-name"), uploadButton()),
    ...(links.length ? [make("ul", { class: "known" }, ...links)] : [])
  );
}

start(
  "learn",
  async (main) => {
    key = new URLSearchParams(location.search).get("key") ?? "";
    main.append(
      make("div", { class: "detail-head" }, say(make("h1"), "nav.learn"), whoField({ id: "who", class: "who" })),
      make("div", { id: "open" }),
      make("div", { id: "state", class: "about" }),
      make("section", { id: "correcting", class: "correcting" }),
      make("section", { id: "training" }),
      make("section", { id: "rounds" })
    );
    if (key) await refresh(true);
    else await drawOpen();
  },
  () => {
    byId("who").placeholder = word("who");
    if (overview) drawOverview();
  }
);
