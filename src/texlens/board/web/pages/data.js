// Rows of a data set: open one, search and filter, look at a row and edit it. The address holds all that is chosen.
import { get, post } from "../api.js";
import { byId, make } from "../dom.js";
import { notify, safely, start } from "../frame.js";
import { say, word } from "../locales.js";
import { number } from "../numbers.js";
import { openForm, textField } from "../open_form.js";
import { openDetail } from "../rows/detail.js";
import { drawControls, drawPager, drawRows } from "../rows/list.js";

const DEFAULTS = { key: "", split: "", text: "", problem: "", edits: "", order: "source", first: 0, min: "", max: "" };
const POLL_MS = 1000;
const state = { ...DEFAULTS };
let about = null;
let page = null;

function readAddress() {
  const query = new URLSearchParams(location.search);
  for (const name of Object.keys(DEFAULTS)) state[name] = query.get(name) ?? DEFAULTS[name];
  state.first = Math.max(0, Number.parseInt(state.first, 10) || 0);
}

function writeAddress() {
  const chosen = Object.entries(state).filter(([name, value]) => String(value) !== String(DEFAULTS[name]));
  history.replaceState(null, "", `/data${chosen.length ? `?${new URLSearchParams(chosen)}` : ""}`);
}

const source = () => `/api/data/${encodeURIComponent(state.key)}`;

async function drawKnown() {
  const { known } = await get("/api/data");
  const items = known.map((each) => {
    const open = make("button", { type: "button", class: "link" }, [each.path, each.subset].filter(Boolean).join(" · "));
    open.addEventListener("click", safely(() => openData(each.path, each.subset)));
    return make("li", {}, open);
  });
  byId("known").replaceChildren(say(make("h3"), "data.known"), make("ul", {}, ...items));
}

async function openData(path, subset) {
  byId("rows").replaceChildren(say(make("p", { class: "small" }), "data.opening"));
  const { key } = await post("/api/data/open", { path, subset: subset || null });
  Object.assign(state, DEFAULTS, { key });
  await showData();
}

async function showData() {
  about = await get(source());
  if (!(state.split in about.splits)) state.split = Object.keys(about.splits)[0];
  byId("known").replaceChildren();
  byId("path").value = about.path;
  byId("subset").value = about.subset ?? "";
  if (about.checking?.is_running) watchChecking();
  await showRows();
}

async function showRows() {
  writeAddress();
  const { key: _, split, ...query } = state;
  page = await get(`${source()}/rows`, { split, ...Object.fromEntries(Object.entries(query).filter(([, value]) => value !== "")) });
  redraw();
}

function redraw() {
  if (!about || !page) return;
  drawAbout();
  drawControls(byId("controls"), about, state, safely(change), safely(check));
  drawPager([byId("pager"), byId("pager-below")], page, safely((first) => change({ first }, true)));
  drawRows(byId("rows"), page, (row) => `${source()}/${encodeURIComponent(row.split)}/${row.row}/image`, safely(showDetail));
}

function drawAbout() {
  const counts = about.splits[state.split];
  const parts = ["edited", "excluded", "marked", "rejected"].filter((name) => counts[name]);
  byId("about").replaceChildren(
    say(make("span"), "data.rows", { n: number(counts.rows) }),
    ...parts.map((name) => say(make("span"), `data.${name}`, { n: number(counts[name]) })),
    ...(about.version ? [exportButton()] : []),
    ...about.not_rows.map((line) => make("div", { class: "reason" }, line))
  );
}

function exportButton() {
  const button = say(make("button", { type: "button", class: "plain" }), "data.export", { version: about.version });
  button.addEventListener("click", safely(async () => {
    const output = prompt(word("data.export.where"), `${about.path.replace(/\/$/, "")}-edited`);
    if (!output) return;
    await post(`${source()}/export`, { to: "hf", output });
    notify("data.export.started", { output });
  }));
  return button;
}

async function change(values, keepsPage = false) {
  Object.assign(state, values, keepsPage ? {} : { first: 0 });
  await showRows();
}

async function check() {
  about.checking = await post(`${source()}/check`);
  redraw();
  watchChecking();
}

function watchChecking() {
  setTimeout(safely(async () => {
    about = await get(source());
    redraw();
    if (about.checking?.is_running) watchChecking();
    else if (about.checking?.error) notify("error.other", {}, { detail: about.checking.error, wrong: true });
    else await showRows();
  }), POLL_MS);
}

async function showDetail(row) {
  await openDetail(byId("detail"), `${source()}/${encodeURIComponent(row.split)}/${row.row}`, {
    source: source(),
    onChange: safely(async () => {
      about = await get(source());
      await showRows();
    }),
    onStep: safely(async (step) => {
      const index = page.rows.findIndex((each) => each.split === row.split && each.row === row.row) + step;
      if (page.rows[index]) await showDetail(page.rows[index]);
    }),
    onOpen: safely(showDetail),
  });
}

start(
  "data",
  async (main) => {
    readAddress();
    main.append(
      say(make("h1"), "nav.data"),
      openForm([textField("path", "data.path", { required: true }), textField("subset", "data.subset")], "data.open", openData),
      make("div", { id: "known" }),
      make("div", { id: "about", class: "about" }),
      make("div", { id: "controls", class: "controls" }),
      make("div", { id: "pager", class: "pager" }),
      make("div", { id: "rows" }),
      make("div", { id: "pager-below", class: "pager" }),
      make("dialog", { id: "detail", class: "detail" })
    );
    if (state.key) await showData();
    else await drawKnown();
  },
  () => redraw()
);
