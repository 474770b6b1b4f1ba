"""Formulas through Chromium: MathJax's SVG, and MathML set by the browser itself in a math font of choice."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from texlens.latex.mathml import to_mathml

_MATHJAX = r"""
const fs = require("fs");
const {mathjax} = require("mathjax-full/js/mathjax.js");
const {TeX} = require("mathjax-full/js/input/tex.js");
const {SVG} = require("mathjax-full/js/output/svg.js");
const {liteAdaptor} = require("mathjax-full/js/adaptors/liteAdaptor.js");
const {RegisterHTMLHandler} = require("mathjax-full/js/handlers/html.js");
const {AllPackages} = require("mathjax-full/js/input/tex/AllPackages.js");
const adaptor = liteAdaptor();
RegisterHTMLHandler(adaptor);
const left_out = ["noerrors", "noundefined", "bussproofs"];
const packages = AllPackages.filter((name) => !left_out.includes(name));
const tex = new TeX({packages, formatError: (jax, error) => { throw error; }});
const page = mathjax.document("", {InputJax: tex, OutputJax: new SVG({fontCache: "none"})});
const lines = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
fs.writeFileSync(process.argv[3], JSON.stringify(lines.map((line) => {
  try { return adaptor.innerHTML(page.convert(line, {display: true})); } catch (error) { return null; }
})));
"""
_STYLE = """@font-face {{ font-family: held; src: url("{font}") }} body {{ margin: 0; background: white }}
section {{ position: absolute; left: 0; width: 1100px; height: {height}px; padding: 20px; box-sizing: border-box;
font-size: {size}px }} math {{ font-family: held; font-size: {size}px }}"""


def mathjax_svg(labels: Sequence[str], node_modules: Path) -> list[str | None]:
    """The SVG of each label, None where MathJax reports an error."""
    with tempfile.TemporaryDirectory() as folder:
        script, source, target = (Path(folder) / name for name in ("convert.js", "in.json", "out.json"))
        script.write_text(_MATHJAX, encoding="utf-8")
        source.write_text(json.dumps(list(labels)), encoding="utf-8")
        environment = {"NODE_PATH": str(node_modules.resolve()), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        subprocess.run(["node", str(script), str(source), str(target)], env=environment, check=True)
        return json.loads(target.read_text(encoding="utf-8"))


def browser_mathml(labels: Sequence[str]) -> list[str | None]:
    """The display MathML of each label, None where it can't be converted."""
    return [to_mathml(label)[0] for label in labels]


def pictures(htmls: Sequence[str], size_px: int, *, font: Path | None = None) -> list[Image.Image]:
    """One gray picture of each, as the browser shows it."""
    if not htmls:
        return []
    height = 12 * size_px
    style = _STYLE.format(font=font.resolve().as_uri() if font else "", size=size_px, height=height)
    sections = "".join(f'<section style="top:{n * height}px">{html}</section>' for n, html in enumerate(htmls))
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "page.html", Path(folder) / "shot.png"
        page.write_text(f'<!doctype html><meta charset="utf-8"><style>{style}</style>{sections}', encoding="utf-8")
        options = [
            f"--window-size=1100,{height * len(htmls)}",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-lcd-text",
        ]
        options += [f"--user-data-dir={folder}/profile", f"--screenshot={shot}"]
        subprocess.run(["chromium", *options, page.as_uri()], capture_output=True, check=True, timeout=90)
        sheet = Image.open(shot).convert("L")
        return [sheet.crop((0, n * height, 1100, (n + 1) * height)) for n in range(len(htmls))]
