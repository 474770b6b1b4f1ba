// Two formulas token by token: what only one of them has, and what stands for something else, is colored.
import { make } from "./dom.js";

const MAX_CELLS = 1_000_000;

/** Commands, or single characters; spaces part them. */
export const tokensOf = (latex) => latex.match(/\\[a-zA-Z]+|\\.|\S/gs) ?? [];

/** Nodes of `text` with what differs from `reference` in spans: tok i (only here), d (only there), s (another). */
export function coloredTokens(reference, text) {
  const [expected, read] = [tokensOf(reference), tokensOf(text)];
  if (expected.length * read.length > MAX_CELLS) return [text];
  return edits(expected, read).flatMap(([kind, before, after]) => [piece(kind, before, after), " "]);
}

function piece(kind, before, after) {
  if (kind === "=") return after;
  if (kind === "s") return make("span", { class: "tok s" }, after, make("span", { class: "was" }, before));
  return make("span", { class: `tok ${kind}` }, kind === "i" ? after : before);
}

/** The shortest edits (Levenshtein): [kind, token before, token after] in order. */
export function edits(expected, read) {
  const width = read.length + 1;
  const cost = new Uint32Array((expected.length + 1) * width);
  for (let i = 0; i <= expected.length; i += 1) cost[i * width] = i;
  for (let j = 0; j <= read.length; j += 1) cost[j] = j;
  for (let i = 1; i <= expected.length; i += 1) {
    for (let j = 1; j <= read.length; j += 1) {
      const same = expected[i - 1] === read[j - 1] ? 0 : 1;
      cost[i * width + j] = Math.min(cost[(i - 1) * width + j - 1] + same, cost[(i - 1) * width + j] + 1, cost[i * width + j - 1] + 1);
    }
  }
  const steps = [];
  let [i, j] = [expected.length, read.length];
  while (i || j) {
    const here = cost[i * width + j];
    const same = i && j && expected[i - 1] === read[j - 1] ? 0 : 1;
    if (i && j && here === cost[(i - 1) * width + j - 1] + same) steps.push([same ? "s" : "=", expected[(i -= 1)], read[(j -= 1)]]);
    else if (i && here === cost[(i - 1) * width + j] + 1) steps.push(["d", expected[(i -= 1)], ""]);
    else steps.push(["i", "", read[(j -= 1)]]);
  }
  return steps.reverse();
}
