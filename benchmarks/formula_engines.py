"""KaTeX and MathJax over Node: the MathML of formulas in display style."""

import json
import subprocess
import tempfile
from pathlib import Path

_KATEX = r"""
const katex = require("katex"), fs = require("fs");
const lines = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const options = {output: "mathml", displayMode: true, strict: false, trust: true, throwOnError: true};
fs.writeFileSync(process.argv[3], JSON.stringify(lines.map((line) => {
  try { return [katex.renderToString(line, {...options, macros: {}}), null]; }
  catch (error) { return [null, String(error.message).slice(0, 200)]; }
})));
"""
_MATHJAX = r"""
const fs = require("fs");
const {mathjax} = require("mathjax-full/js/mathjax.js");
const {TeX} = require("mathjax-full/js/input/tex.js");
const {liteAdaptor} = require("mathjax-full/js/adaptors/liteAdaptor.js");
const {RegisterHTMLHandler} = require("mathjax-full/js/handlers/html.js");
const {AllPackages} = require("mathjax-full/js/input/tex/AllPackages.js");
const {SerializedMmlVisitor} = require("mathjax-full/js/core/MmlTree/SerializedMmlVisitor.js");
const {STATE} = require("mathjax-full/js/core/MathItem.js");
RegisterHTMLHandler(liteAdaptor());
const left_out = ["noerrors", "noundefined", "bussproofs", "configmacros", "newcommand"];
const packages = AllPackages.filter((name) => !left_out.includes(name));
const tex = new TeX({packages, formatError: (jax, error) => { throw error; }});
const page = mathjax.document("", {InputJax: tex});
const visitor = new SerializedMmlVisitor();
const lines = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
fs.writeFileSync(process.argv[3], JSON.stringify(lines.map((line) => {
  try {
    tex.parseOptions.tags.reset();
    return [visitor.visitTree(page.convert(line, {display: true, end: STATE.CONVERT})), null];
  } catch (error) { return [null, String(error.message).slice(0, 200)]; }
})));
"""
SCRIPTS = {"katex": _KATEX, "mathjax": _MATHJAX}
PACKAGES = {"katex": "katex", "mathjax": "mathjax-full"}


def converted(lines: list[str], engine: str, node_modules: Path) -> list[tuple[str | None, str | None]]:
    """MathML or the error of each line, by an engine of `SCRIPTS`."""
    with tempfile.TemporaryDirectory() as folder:
        script, source, target = (Path(folder) / name for name in ("convert.js", "in.json", "out.json"))
        script.write_text(SCRIPTS[engine], encoding="utf-8")
        source.write_text(json.dumps(lines), encoding="utf-8")
        environment = {"NODE_PATH": str(node_modules.resolve()), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        subprocess.run(["node", str(script), str(source), str(target)], env=environment, check=True)
        return [tuple(pair) for pair in json.loads(target.read_text(encoding="utf-8"))]


def version_of(engine: str, node_modules: Path) -> str:
    return json.loads((node_modules / PACKAGES[engine] / "package.json").read_text(encoding="utf-8"))["version"]
