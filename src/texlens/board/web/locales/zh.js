import { wordsIn } from "../words.js";

export const zh = wordsIn("zh");
