// All texts of the board: one file a page, each with { en, zh }.
import { compare } from "./words/compare.js";
import { data } from "./words/data.js";
import { frame } from "./words/frame.js";
import { learn } from "./words/learn.js";
import { newRun } from "./words/new.js";
import { run } from "./words/run.js";
import { runs } from "./words/runs.js";

const PARTS = [frame, runs, run, newRun, compare, data, learn];

export const wordsIn = (name) => Object.assign({}, ...PARTS.map((part) => part[name]));
