import { wordsIn } from "../words.js";

export const en = wordsIn("en");
