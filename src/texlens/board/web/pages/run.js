// One run: its state now; curves, log and samples follow.
import { get } from "../api.js";
import { make } from "../dom.js";
import { start } from "../frame.js";
import { say } from "../locales.js";

start("run", async (main) => {
  const name = decodeURIComponent(location.pathname.slice("/run/".length));
  const run = await get(`/api/run/${encodeURIComponent(name)}`);
  main.append(make("h1", {}, run.name), say(make("span", { class: `badge state ${run.state}` }), `state.${run.state}`));
});
