// All texts of the board: one file a page, each with { en, zh }.
import { data } from "./words/data.js";
import { frame } from "./words/frame.js";
import { run } from "./words/run.js";
import { runs } from "./words/runs.js";

const PARTS = [frame, runs, run, data];

export const wordsIn = (name) => Object.assign({}, ...PARTS.map((part) => part[name]));
