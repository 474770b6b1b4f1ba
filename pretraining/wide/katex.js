// Typesets formulas with KaTeX: one JSON string a line in, one JSON string of HTML (or null) a line out.
// node katex.js KATEX_FOLDER < labels.jsonl > html.jsonl
const katex = require(process.argv[2]);
const lines = require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  let html = null;
  try {
    html = katex.renderToString(JSON.parse(line), { displayMode: true, throwOnError: true, strict: false, output: "html" });
  } catch (error) {
    html = null;
  }
  console.log(JSON.stringify(html));
}
