"use strict";
// Shows the rows of the payload, a few at a time as the reader scrolls, and the values under the pointer in charts.
// Text reaches the page through textContent and drawings through img, so nothing in a row can act as markup.
(() => {
  const BATCH = 24;
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const { rows, drawings, systems, outcomes } = payload;
  const rowList = document.getElementById("rows-list");
  const more = document.getElementById("more");
  const last = systems.length - 1;
  const state = { outcome: "", domain: "", sort: "worst", search: "" };
  let found = [];
  let next = 0;

  function element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function drawing(index, parent) {
    if (index === null || index === undefined) return;
    const item = drawings[index];
    if (item.startsWith("!")) {
      parent.append(element("div", "reason", item.slice(1)));
      return;
    }
    const image = element("img", "drawn");
    image.alt = "the formula drawn";
    image.decoding = "async";
    // The drawing is sized in em; inside an img that is its own font size, not the page's.
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(item.replace("<svg", '<svg font-size="20"'));
    parent.append(image);
  }

  function tokensOf(joined) {
    return joined ? joined.split(" ") : [];
  }

  function plain(joined) {
    return element("div", "tokens", joined);
  }

  function colored(reference, text, diff) {
    const line = element("div", "tokens");
    const expected = tokensOf(reference);
    const read = tokensOf(text);
    let e = 0;
    let r = 0;
    for (const [, count, kind] of diff.matchAll(/(\d+)([=sid])/g)) {
      for (let i = 0; i < Number(count); i += 1) {
        if (kind === "=") line.append(read[r]);
        else if (kind === "i") line.append(element("span", "tok i", read[r]));
        else if (kind === "d") line.append(element("span", "tok d", expected[e]));
        else {
          const token = element("span", "tok s", read[r]);
          token.append(element("span", "was", expected[e]));
          token.title = "the reference has " + expected[e];
          line.append(token);
        }
        line.append(" ");
        if (kind !== "d") r += 1;
        if (kind !== "i") e += 1;
      }
    }
    return line;
  }

  function reading(name, swatch) {
    const line = element("div", "reading");
    const who = element("div", "who");
    const label = element("b");
    if (swatch !== null) label.append(element("i", "swatch s" + (swatch % 4)));
    label.append(name);
    who.append(label);
    const what = element("div");
    line.append(who, what);
    return { line, who, what };
  }

  function systemReading(row, index) {
    const part = row.texts[index];
    const { line, who, what } = reading(systems[index], index);
    if (part.exact) who.append(element("span", "badge exact", "exact"));
    else {
      who.append(element("span", "badge off", part.edits + (part.edits === 1 ? " edit" : " edits")));
      if (part.canonical) who.append(element("span", "badge exact", "same formula"));
      else if (part.cdm !== undefined) who.append(element("span", "badge", "CDM " + (100 * part.cdm).toFixed(1) + "%"));
    }
    const names = { length: "length limit", failed: "failed", loop: "loop" };
    for (const flag of part.flags || []) who.append(element("span", "badge flag", names[flag]));
    if (part.error) what.append(element("div", "reason", part.error));
    drawing(part.drawn, what);
    if (part.missed !== undefined && part.cdm < 1) {
      what.append(element("div", "caption", "the reference, what was missed colored"));
      drawing(part.missed, what);
    }
    if (part.exact) {
      if (part.drawn === null) what.append(plain(row.reference));
    } else if (!part.error) what.append(colored(row.reference, part.text, part.diff));
    return line;
  }

  function picture(row) {
    const box = element("div", "picture");
    if (row.image) {
      const image = element("img");
      image.alt = "image of row " + row.id;
      image.decoding = "async";
      image.src = row.image;
      box.append(image);
    } else {
      box.classList.add("none");
      box.textContent = row.image_error || "image not embedded";
    }
    return box;
  }

  function card(row) {
    const node = element("article", "card panel " + row.outcome);
    const source = element("div", "source");
    const about = element("div", "about");
    about.append(element("span", "", row.id));
    if (row.domain) about.append(element("span", "", row.domain));
    about.append(element("span", "", outcomes[row.outcome]));
    source.append(picture(row), about);
    const readings = element("div", "readings");
    const reference = reading("reference", null);
    drawing(row.drawn, reference.what);
    reference.what.append(plain(row.reference));
    readings.append(reference.line, ...systems.map((_, index) => systemReading(row, index)));
    node.append(source, readings);
    return node;
  }

  function showMore() {
    const until = Math.min(next + BATCH, found.length);
    const batch = document.createDocumentFragment();
    for (; next < until; next += 1) batch.append(card(rows[found[next]]));
    rowList.append(batch);
  }

  const similarity = (row, index) => row.texts[index].similarity;
  const gain = (row) => similarity(row, last) - similarity(row, 0);
  const orders = {
    worst: (a, b) => similarity(a, last) - similarity(b, last) || b.texts[last].edits - a.texts[last].edits,
    best: (a, b) => similarity(b, last) - similarity(a, last),
    gain: (a, b) => gain(b) - gain(a),
    loss: (a, b) => gain(a) - gain(b),
    id: () => 0,
  };

  const spaceless = (text) => text.toLowerCase().replace(/\s+/g, "");

  function matches(row, wanted) {
    if (!wanted) return true;
    const texts = [row.id, row.domain, row.reference, ...row.texts.map((part) => part.text || "")];
    return texts.some((text) => spaceless(text).includes(wanted));
  }

  function update() {
    const wanted = spaceless(state.search);
    const inScope = [...rows.keys()].filter(
      (i) => (!state.domain || rows[i].domain === state.domain || (!rows[i].domain && state.domain === "other")) && matches(rows[i], wanted)
    );
    found = inScope.filter((i) => !state.outcome || rows[i].outcome === state.outcome);
    found.sort((a, b) => orders[state.sort](rows[a], rows[b]) || a - b);
    for (const chip of document.querySelectorAll(".chip")) {
      const key = chip.dataset.outcome;
      const count = key ? inScope.filter((i) => rows[i].outcome === key).length : inScope.length;
      chip.setAttribute("aria-pressed", String(key === state.outcome));
      chip.querySelector("span").textContent = count.toLocaleString("en");
    }
    document.getElementById("found").textContent = found.length.toLocaleString("en") + (found.length === 1 ? " row" : " rows");
    rowList.replaceChildren();
    next = 0;
    showMore();
  }

  function choose(outcome) {
    state.outcome = state.outcome === outcome ? "" : outcome;
    update();
  }

  for (const chip of document.querySelectorAll(".chip")) chip.addEventListener("click", () => choose(chip.dataset.outcome));
  for (const cell of document.querySelectorAll(".cell")) {
    cell.addEventListener("click", () => {
      state.outcome = cell.dataset.outcome;
      update();
      document.getElementById("rows").scrollIntoView();
    });
  }
  for (const name of ["sort", "domain", "search"]) {
    const control = document.getElementById(name);
    if (control) {
      control.addEventListener("input", () => {
        state[name] = control.value;
        update();
      });
    }
  }
  const watcher = new IntersectionObserver(
    (entries) => {
      if (!entries[entries.length - 1].isIntersecting || next >= found.length) return;
      showMore();
      // Watching again asks again, for a window so tall that the end is still in sight.
      watcher.unobserve(more);
      watcher.observe(more);
    },
    { rootMargin: "1200px" }
  );
  watcher.observe(more);

  for (const chart of document.querySelectorAll(".chart")) {
    const series = JSON.parse(chart.dataset.series);
    const tip = chart.parentElement.querySelector(".tip");
    const guide = chart.querySelector(".guide");
    const hide = () => {
      tip.hidden = true;
      guide.style.visibility = "hidden";
    };
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      const nearest = series.map((one) => one.points.reduce((best, p) => (Math.abs(p[0] - at.x) < Math.abs(best[0] - at.x) ? p : best)));
      const anchor = nearest.reduce((best, p) => (Math.abs(p[0] - at.x) < Math.abs(best[0] - at.x) ? p : best));
      guide.setAttribute("x1", anchor[0]);
      guide.setAttribute("x2", anchor[0]);
      guide.style.visibility = "visible";
      tip.replaceChildren(...nearest.map((p, i) => element("div", "", `${series[i].name} ${p[3]} at step ${p[2]}`)));
      tip.hidden = false;
      const box = chart.parentElement.getBoundingClientRect();
      const left = event.clientX - box.left;
      tip.style.left = (left > box.width / 2 ? left - tip.offsetWidth - 14 : left + 14) + "px";
      tip.style.top = event.clientY - box.top + "px";
    });
  }

  update();
})();
