// A run's state as a badge; a state that has no words is shown as it is.
import { make } from "./dom.js";
import { known, say } from "./locales.js";

export function stateBadge(state, id) {
  const badge = make("span", { id, class: `badge state ${state}` });
  if (known(`state.${state}`)) return say(badge, `state.${state}`);
  badge.textContent = state;
  return badge;
}
