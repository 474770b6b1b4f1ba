r"""Compares what TexLens draws with KaTeX and MathJax: which formulas are accepted, and whether the MathML agrees.

    npm install katex mathjax-full          # in a folder of your own, NODE_MODULES
    python benchmarks/formula_meaning.py FORMULAS --node-modules NODE_MODULES [--limit N] [--engine mathjax]

FORMULAS are parquet files with a `text` column and `.txt.gz` files of one formula a line, or folders of them. For each
formula the MathML of both is reduced to its skeleton: letters, digits and symbols in order, with the structure that
holds them (fraction, root, script, over, under, table row, cell). Printed are the formulas accepted by both, by one,
by none, and of those accepted by both the equal ones; then each kind of difference with its count and an example.
"""

import argparse
import gzip
import json
import subprocess
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as parquet

from texlens.core.errors import LatexError
from texlens.latex.canonical.form import canonical
from texlens.latex.layout.formula import layout
from texlens.latex.mathml import to_mathml

KATEX = r"""
const katex = require("katex"), fs = require("fs");
const lines = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const options = {output: "mathml", displayMode: true, strict: false, trust: true, throwOnError: true};
fs.writeFileSync(process.argv[3], JSON.stringify(lines.map((line) => {
  try { return [katex.renderToString(line, options), null]; }
  catch (error) { return [null, String(error.message).slice(0, 200)]; }
})));
"""
MATHJAX = r"""
const fs = require("fs");
require("mathjax-full").init({loader: {load: ["input/tex-full", "adaptors/liteDOM"]}}).then((MathJax) => {
  const lines = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
  const out = lines.map((line) => {
    try {
      const text = MathJax.tex2mml(line, {display: true});
      const error = /data-mjx-error="([^"]*)"/.exec(text) || /<merror[^>]*>/.exec(text);
      return error ? [null, error[1] || "merror"] : [text, null];
    } catch (error) { return [null, String(error.message).slice(0, 200)]; }
  });
  fs.writeFileSync(process.argv[3], JSON.stringify(out));
});
"""
STRUCTURE = {
    "mfrac": "frac", "msqrt": "root", "mroot": "root", "msub": "sub", "msup": "sup", "msubsup": "subsup",
    "munder": "under", "mover": "over", "munderover": "underover", "mtr": "row", "mtd": "cell",
}  # fmt: skip
SAME = {"⟂": "⊥", "”": '"', "_": "", "−": "-", "∗": "*", "∣": "|", "‖": "∥", "‾": "¯", "ˉ": "¯", "′": "'"}
SAME |= {"⋅": "·", "ϕ": "φ", "ϵ": "ε", "∶": ":", "\u2061": "", "˙": ".", "˘": "u", "ˇ": "v", "ˊ": "'", "ˋ": "`"}
SAME |= {"˚": "o", "\u20d7": "→", "ı": "i", "ȷ": "j", "𝚤": "i", "𝚥": "j", "…": "...", "⋯": "..."}
"""Characters that both use for one thing."""


def formulas(paths: list[Path], limit: int) -> Iterator[str]:
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.suffix == ".parquet":
                yield from islice(parquet.read_table(file, columns=["text"]).column("text").to_pylist(), limit)
            elif file.name.endswith(".txt.gz"):
                with gzip.open(file, "rt", encoding="utf-8") as lines:
                    yield from (line.rstrip("\n") for line in islice(lines, limit))


def converted(lines: list[str], engine: str, node_modules: Path) -> list[tuple[str | None, str | None]]:
    """MathML or the error of each line, by an engine of Node."""
    with tempfile.TemporaryDirectory() as folder:
        script, source, target = (Path(folder) / name for name in ("convert.js", "in.json", "out.json"))
        script.write_text(KATEX if engine == "katex" else MATHJAX, encoding="utf-8")
        source.write_text(json.dumps(lines), encoding="utf-8")
        environment = {"NODE_PATH": str(node_modules.resolve()), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        subprocess.run(["node", str(script), str(source), str(target)], env=environment, check=True)
        return [tuple(pair) for pair in json.loads(target.read_text(encoding="utf-8"))]


def letters(mathml: str) -> str:
    """Letters, digits and symbols in their order."""
    root = _math(mathml)
    text = "".join(element.text or "" for element in root.iter() if _tag(element) in ("mi", "mn", "mo", "mtext"))
    plain = unicodedata.normalize("NFKD", "".join(SAME.get(character, character) for character in text))
    return "".join(c for c in plain if not c.isspace() and c.isprintable() and not unicodedata.combining(c))


def structure(mathml: str) -> Counter[str]:
    """How often each kind of structure occurs."""
    return Counter(STRUCTURE[_tag(element)] for element in _math(mathml).iter() if _tag(element) in STRUCTURE)


def _math(mathml: str) -> ElementTree.Element:
    start, end = mathml.index("<math"), mathml.rindex("</math>") + len("</math>")
    root = ElementTree.fromstring(mathml[start:end].replace("&nbsp;", "&#160;"))
    for parent in list(root.iter()):
        for child in list(parent):
            if _tag(child).startswith("annotation"):
                parent.remove(child)
    return root


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def kind_of(formula: str, theirs: str | None, refused: str | None) -> tuple[str, str]:
    """(accepted by, kind of difference)."""
    try:
        layout(formula)
    except LatexError as error:
        return ("theirs", str(error).split(",")[0][:60]) if theirs else ("none", "")
    if theirs is None:
        return "ours", (refused or "")[:60]
    ours, _ = to_mathml(formula)
    if ours is None:
        return "both", "no MathML of ours"
    if canonical(canonical(formula).text).text != canonical(formula).text:
        return "both", "canonical form is not its own form"
    if Counter(letters(ours)) != Counter(letters(theirs)):
        lost = Counter(letters(theirs)) - Counter(letters(ours))
        more = Counter(letters(ours)) - Counter(letters(theirs))
        return "both", f"letters: -{''.join(sorted(lost))[:12]} +{''.join(sorted(more))[:12]}"
    if letters(ours) != letters(theirs):
        return "both", "order of letters"
    mine, other = structure(ours), structure(theirs)
    for name in ("frac", "root", "row"):
        if mine[name] != other[name]:
            return "both", f"structure: {name}"
    return "both", "equal"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formulas", nargs="+", type=Path)
    parser.add_argument("--node-modules", type=Path, required=True)
    parser.add_argument("--engine", choices=["katex", "mathjax"], default="katex")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--show", default=None)
    arguments = parser.parse_args()
    lines = list(dict.fromkeys(formulas(arguments.formulas, arguments.limit)))
    results = converted(lines, arguments.engine, arguments.node_modules)
    accepted: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    examples: dict[str, str] = {}
    for line, (mathml, refused) in zip(lines, results, strict=True):
        by, kind = kind_of(line, mathml, refused)
        accepted[by] += 1
        kinds[by][kind] += 1
        examples.setdefault(f"{by} {kind}", line)
        if arguments.show and kind.startswith(arguments.show):
            print(repr(line))
    print(f"{len(lines)} formulas against {arguments.engine}")
    for by in ("both", "ours", "theirs", "none"):
        print(f"  accepted by {by}: {accepted[by]}")
    print(
        f"  of both, equal: {kinds['both']['equal']} ({100 * kinds['both']['equal'] / max(accepted['both'], 1):.2f}%)"
    )
    for by in ("both", "theirs"):
        for kind, count in kinds[by].most_common(40):
            if kind != "equal":
                print(f"  {by}: {count} {kind} | {examples[f'{by} {kind}'][:120]}")


if __name__ == "__main__":
    main()
