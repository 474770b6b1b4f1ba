// The page: one picture at a time, what can be done with it, and its readings.
import { models, prepared, read, render } from "./api.js";
import { Camera } from "./camera.js";
import { pngOf } from "./copy.js";
import { Crop } from "./crop.js";
import { byId, isTyping, memory, switchTheme } from "./dom.js";
import { History } from "./history.js";
import { watchIntake } from "./intake.js";
import { watchKeys } from "./keys.js";
import { DrawingCanvas } from "./canvas.js";
import { pictureOf, thumbnail } from "./picture.js";
import { Refused, safelyWith } from "./requests.js";
import { compareNote, Result } from "./result.js";
import { makeHistoryList } from "./history_list.js";
import { chooseLanguage, language, say, sayAll, word } from "./locales.js";

const EXAMPLE = "\\sum_{n=1}^{\\infty} \\frac{1}{n^2} = \\frac{\\pi^2}{6}";
const NOTICE_MS = 6000;
const GOOD_NEWS = ["copied", "files.read"];
const OPTIONS = ["prompt", "system", "max_tokens", "temperature", "top_p", "min_p", "top_k", "repetition_penalty"];

const page = { mode: "image", picture: null, prepared: null, incoming: null, models: [], results: [], entry: null, reading: null };
const drawing = new DrawingCanvas(byId("drawing"), { width: () => Number(byId("drawing-width").value), changed: refresh });
const camera = new Camera(byId("video"));
const crop = new Crop(byId("cropper"), { changed: (frame) => say(byId("crop-size"), "crop.size", { width: frame.w, height: frame.h }) });
let history;
let drawHistory;

// Notices

function notify({ key, values, detail, message }) {
  const notice = byId("notice");
  const text = document.createElement("span");
  if (key) say(text, key, values);
  else {
    say(text, "error.other");
    detail = message;
  }
  notice.replaceChildren(text);
  if (detail) notice.append(Object.assign(document.createElement("small"), { textContent: detail }));
  const good = GOOD_NEWS.includes(key);
  notice.classList.toggle("wrong", !good);
  clearTimeout(notify.timer);
  if (good) notify.timer = setTimeout(() => notice.replaceChildren(), NOTICE_MS);
}

const quiet = () => byId("notice").replaceChildren();

/** Wraps the action of a button or key, so that every error is shown. */
const safely = safelyWith(notify);

// The picture

const takeBlob = safely(async (blob, name) => {
  if ((await showBlob(blob, name)) && byId("at-once").checked) await readNow();
});

/** Whether it is shown: one that is still being decoded gives way to the next. */
async function showBlob(blob, name) {
  quiet();
  const incoming = (page.incoming = pictureOf(blob, name));
  try {
    const picture = await incoming;
    if (page.incoming !== incoming) {
      URL.revokeObjectURL(picture.url);
      return false;
    }
    setPicture(picture);
    setMode("image");
    document.activeElement?.blur(); // so that Enter reads instead of clicking a button again
    return true;
  } finally {
    if (page.incoming === incoming) page.incoming = null;
  }
}

/** Waits for the newest image that is being decoded, so that no earlier one is read; false if one can't be shown. */
async function arrived() {
  try {
    while (page.incoming) await page.incoming;
    return true;
  } catch {
    return false; // takeBlob reports why
  }
}

/** One image is shown; of several each is read, one after the other, and all are in the history. */
const takeFiles = safely(async (files) => {
  if (files.length === 1) return takeBlob(files[0], files[0].name);
  const refused = [];
  let count = 0;
  for (const file of files) {
    try {
      if (!(await showBlob(file, file.name))) continue;
    } catch (error) {
      refused.push(error);
      continue;
    }
    count += (await readNow()) === true ? 1 : 0;
  }
  for (const error of refused) notify(error);
  if (!refused.length) notify({ key: "files.read", values: { n: count } });
});

function setPicture(picture) {
  if (page.picture) URL.revokeObjectURL(page.picture.url);
  page.picture = picture;
  page.entry = null;
  byId("zone").hidden = Boolean(picture);
  byId("shown").hidden = !picture;
  if (picture) showPicture();
  else byId("preview").removeAttribute("src");
  refresh();
}

/** The picture as it was given, or as a model reads it ({ steps, image }). */
function showPicture(prepared = null) {
  const { url, width, height, shrunk } = page.picture;
  page.prepared = prepared;
  byId("preview").src = prepared?.image ? `data:image/png;base64,${prepared.image}` : url;
  byId("prepared").setAttribute("aria-pressed", String(Boolean(prepared)));
  const steps = prepared?.steps.map((step) => word(`step.${step}`)).join(word("about.between"));
  if (!prepared) say(byId("about"), shrunk ? "about.shrunk" : "about.size", { width, height });
  else say(byId("about"), steps ? "about.prepared" : "about.unchanged", { steps });
}

const switchPrepared = safely(async () => {
  const picture = page.picture;
  if (page.prepared) return showPicture();
  const answer = await prepared(picture, byId("model").value);
  if (page.picture === picture) showPicture(answer);
  return true;
});

function setMode(mode) {
  if (page.mode === "camera" && mode !== "camera") camera.stop();
  if (page.mode === "crop" && mode !== "crop") crop.close();
  page.mode = mode;
  for (const view of document.querySelectorAll("[data-view]")) view.hidden = view.dataset.view !== mode;
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === (mode === "crop" ? "image" : mode)));
  }
  quiet();
  refresh();
}

const openDrawing = () => setMode("draw");
const openCamera = safely(async () => {
  setMode("camera");
  await camera.start();
});
const openCrop = safely(async () => {
  if (!page.picture) return false;
  setMode("crop");
  return crop.open(page.picture);
});
const snap = safely(async () => {
  const blob = await camera.snap();
  setPicture(await pictureOf(blob, "camera"));
  await openCrop();
});
const keepCrop = safely(async () => takeBlob(await crop.blob(), page.picture.name));
const example = safely(async () => takeBlob(await pngOf((await render(EXAMPLE)).svg), "example"));

// Reading

/** The chosen model and, where it was chosen too, its base. */
function chosenModels() {
  const [chosen] = page.models.filter((model) => model.id === byId("model").value);
  const base = byId("beside").checked && page.models.find((model) => model.id === chosen.parent);
  return base ? [{ ...chosen, role: "adapter" }, { ...base, role: "base" }] : [{ ...chosen, role: null }];
}

/** The settings that were filled in, by their names in the API. */
function options() {
  const values = OPTIONS.map((name) => [name, byId(`option-${name}`).value.trim()]);
  return Object.fromEntries(values.filter(([, value]) => value !== ""));
}

function showOptionCount() {
  const count = Object.keys(options()).length;
  say(byId("options-count"), count ? "options.count" : "options.none", { n: count });
}

const readNow = safely(async () => {
  if (!(await arrived())) return false;
  if (page.mode === "camera") return snap();
  if (page.mode === "crop") {
    setPicture(await pictureOf(await crop.blob(), page.picture.name));
    setMode("image");
  }
  if (page.mode === "draw") {
    if (drawing.empty) throw new Refused("error.nothing_drawn");
    setPicture(await pictureOf(await drawing.blob(), "drawing"));
  }
  if (!page.picture) throw new Refused("error.no_image");
  if (!page.models.length) await loadModels();
  quiet();
  page.reading?.abort();
  const reading = (page.reading = new AbortController());
  refresh();
  try {
    return await readInto(page.picture, reading.signal);
  } finally {
    if (page.reading === reading) page.reading = null;
    refresh();
  }
});
const readOrStop = () => (page.reading ? page.reading.abort() : readNow());

async function readInto(picture, signal) {
  page.entry = null;
  const results = placeResults(chosenModels());
  const reads = results.map(async (result) => {
    const callbacks = { signal, onToken: (token) => result.token(token), onWait: (seconds) => result.wait(seconds) };
    try {
      await result.done(await read(picture, result.model, options(), callbacks));
    } catch (error) {
      if (signal.aborted) result.node.remove();
      else result.fail(error instanceof Refused ? error : new Refused("error.other", {}, String(error)));
    }
  });
  await Promise.all(reads);
  const done = results.filter((result) => result.reading);
  if (results !== page.results || !done.length) return false;
  announce(done);
  done[0].formula.scrollIntoView({ block: "nearest" });
  await keep(picture, done);
  return true;
}

/** Empty results for `models` ({ id, role }), replacing the previous ones. */
function placeResults(models) {
  page.results = models.map(({ id, role }) => Object.assign(new Result(id, role, { notify, edited: keepEdits }), { role }));
  const box = byId("results");
  box.classList.toggle("two", models.length > 1);
  box.replaceChildren(...page.results.map((result) => result.node));
  return page.results;
}

function announce(results) {
  if (results.length === 2) byId("results").prepend(compareNote(results));
  byId("spoken").textContent = results
    .map(({ model, reading, unsure }) => `${word("announce", { model, latex: reading.latex })}. ${unsure ? word("announce.unsure", { n: unsure }) : ""}`)
    .join(" ");
}

// History

async function keep({ blob, width, height, name }, results) {
  page.entry = {
    id: crypto.randomUUID(),
    at: Date.now(),
    thumbnail: await thumbnail({ blob, width, height }),
    picture: { blob, width, height, name },
    results: results.map(({ reading, role }) => ({ reading, role, edited: null })),
  };
  page.kept = results;
  await history.put(page.entry);
  drawHistory();
}

const keepEdits = safely(async () => {
  if (!page.entry) return;
  page.entry.results.forEach((result, i) => {
    const text = page.kept[i].editor.value;
    result.edited = text === result.reading.latex ? null : text;
  });
  await history.put(page.entry);
  drawHistory();
});

const openEntry = safely(async (entry) => {
  page.reading?.abort();
  setMode("image");
  setPicture({ ...entry.picture, url: URL.createObjectURL(entry.picture.blob), shrunk: false });
  const results = placeResults(entry.results.map(({ reading, role }) => ({ id: reading.model, role })));
  await Promise.all(results.map((result, i) => result.done(entry.results[i].reading, entry.results[i].edited)));
  announce(results);
  page.entry = entry;
  page.kept = results;
  byId("intake").scrollIntoView({ block: "start" });
});

// The rest of the page

function refresh() {
  const button = byId("read");
  const ready = page.mode === "draw" ? !drawing.empty : page.mode === "image" ? Boolean(page.picture) : true;
  button.disabled = !page.reading && !ready;
  say(button.querySelector("span"), page.reading ? "stop" : page.mode === "camera" ? "snap" : "read");
  button.querySelector("kbd").textContent = page.reading ? "Esc" : page.mode === "crop" ? "Ctrl Enter" : "Enter";
  // a disabled button with the focus would swallow every key
  if (drawing.empty && [byId("drawing-undo"), byId("drawing-clear")].includes(document.activeElement)) byId("drawing").focus();
  byId("drawing-undo").disabled = byId("drawing-clear").disabled = drawing.empty;
}

async function loadModels() {
  page.models = await models();
  const select = byId("model");
  select.replaceChildren(...page.models.map(({ id }) => new Option(id, id)));
  byId("model-choice").hidden = page.models.length < 2;
  byId("model-name").textContent = page.models.length < 2 ? page.models[0].id : "";
  showBeside();
}

function showBeside() {
  const chosen = page.models.find((model) => model.id === byId("model").value);
  byId("beside-choice").hidden = !page.models.some((model) => model.id === chosen?.parent);
  byId("prepared").hidden = !chosen?.prepares;
  if (page.prepared) showPicture();
  byId("option-prompt").placeholder = chosen?.prompt ?? "";
  byId("option-system").placeholder = chosen?.system ?? "";
}

function escape() {
  if (page.reading) page.reading.abort();
  else if (page.mode !== "image") setMode("image");
  else if (isTyping(document.activeElement)) document.activeElement.blur();
  else quiet();
}

function switchLanguage() {
  chooseLanguage(language() === "en" ? "zh" : "en");
  showLanguage();
  showOptionCount();
  if (page.prepared) showPicture(page.prepared);
  for (const result of page.results) result.showProblemAgain();
  drawHistory?.();
}

/** The button names the other language, in that language. */
function showLanguage() {
  const button = byId("language");
  button.textContent = word("key.language");
  button.lang = language() === "en" ? "zh" : "en";
}

function remembered(id) {
  const box = byId(id);
  const stored = memory.get(id);
  if (stored) box.checked = stored === "on";
  box.addEventListener("change", () => memory.set(id, box.checked ? "on" : "off"));
}

const onClick = (actions) => Object.entries(actions).forEach(([id, action]) => byId(id).addEventListener("click", () => action()));
const copyFirst = (kind) => () => (page.results[0]?.reading ? page.results[0].copy(kind) : false);

function wire() {
  watchIntake({ takeBlob, takeFiles, refuse: notify });
  onClick({
    read: readOrStop,
    prepared: switchPrepared,
    crop: openCrop,
    remove: () => setPicture(null),
    example,
    "crop-apply": keepCrop,
    "crop-cancel": () => setMode("image"),
    "drawing-undo": () => drawing.undo(),
    "drawing-clear": () => drawing.clear(),
    theme: switchTheme,
    language: switchLanguage,
  });
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => ({ image: () => setMode("image"), draw: openDrawing, camera: openCamera })[button.dataset.mode]());
  }
  byId("model").addEventListener("change", showBeside);
  byId("options").addEventListener("input", showOptionCount);
  byId("options-reset").addEventListener("click", () => {
    for (const name of OPTIONS) byId(`option-${name}`).value = "";
    showOptionCount();
  });
  remembered("at-once");
  remembered("beside");
  watchKeys({
    enter: () => (page.reading ? false : page.mode === "crop" ? keepCrop() : readNow()),
    "ctrl-enter": () => (page.reading ? false : readNow()),
    escape,
    undo: () => (page.mode === "draw" ? drawing.undo() : false),
    o: () => byId("file").click(),
    d: openDrawing,
    k: openCamera,
    x: () => (page.picture && page.mode === "image" ? openCrop() : false),
    e: () => (page.results[0]?.reading ? page.results[0].editor.focus() : false),
    c: copyFirst("latex"),
    m: copyFirst("mathml"),
    s: copyFirst("svg"),
    p: copyFirst("png"),
    l: switchLanguage,
    t: switchTheme,
    "?": () => byId("help").showModal(),
  });
}

sayAll();
showLanguage();
showOptionCount();
wire();
refresh();
history = await History.open();
drawHistory = makeHistoryList(history, openEntry);
await safely(loadModels)();
document.documentElement.dataset.ready = "yes";
