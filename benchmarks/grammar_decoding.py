r"""Decoding constrained by the grammar: invalid readings, exact match and cost, without and with it.

    python benchmarks/grammar_decoding.py --data LATEX_OCR/full [--rows 2000] [--write benchmarks/results]

Rows are the test split of DATA (columns image and text) and generated ones, in three parts: rare commands that the
random grammar of pre-training lacks, all math fonts but the model's own, and disturbed pictures (photographs, and
print that was blurred, compressed and noised). Each row is read by the bundled model as it is, with the grammar, and
with the grammar under a limit of `--limit` tokens that cuts most readings. A greedy reading that ended and that the
grammar accepts is the reading with the grammar too, since the likeliest accepted token is taken; so of the generated
rows only the others are read a second time, unless `--all` is given. Cost: blocks of rows are read
as they are and with the grammar in turn, the first of a pair alternating; given are the median of the pairs' ratios of
processor time and its interval, over the blocks whose readings are the same tokens.
"""

import argparse
import io
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as parquet
from PIL import Image
from result import write_result

from texlens.core.errors import LatexError
from texlens.data.sample import LazyImage, Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.grammar import START, advance, is_complete
from texlens.latex.layout.formula import layout
from texlens.latex.parse import symbols as sym
from texlens.latex.render.raster import draw
from texlens.metrics.prediction import Prediction
from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.synthesis.photo import photo
from texlens.synthesis.printed import worn

SHAPES = (
    r"\underbrace { %s } _ { %s }", r"\overset { %s } { %s }", r"\xrightarrow [ %s ] { %s }", r"\boxed { %s } %s",
    r"\cancel { %s } %s", r"\begin{cases} %s & %s \end{cases}", r"\begin{vmatrix} %s & %s \end{vmatrix}",
    r"\left\lfloor %s \middle| %s \right\rceil", r"\dfrac { %s } { %s }", r"\overline { %s } \underline { %s }",
    r"\substack { %s \\ %s }", r"\mathfrak { A } %s \mathscr { B } %s", r"\operatorname { rot } %s \text { if } %s",
    r"\begin{aligned} %s & = %s \\ & < 1 \end{aligned}", r"\sideset { ^ 1 } { _ 2 } \prod %s %s",
    r"\genfrac { [ } { ] } { 0pt } { 0 } { %s } { %s }", r"\widehat { %s } \overrightarrow { %s }",
)  # fmt: skip
PARTS = ("rare commands", "other fonts", "disturbed")
FONTS = ("termes", "pagella", "schola", "stix")


def generated(rows: int, seed: int) -> list[tuple[str, Sample]]:
    """(part, row), each of the parts equally often."""
    rng, grammar = random.Random(seed), RandomFormulas()
    rare = sorted(set(sym.SYMBOLS) - grammar.vocabulary() - {"'", "`", '"', "@"})
    rare = [token for token in rare if token[0] == "\\" and len(sym.SYMBOLS[token][0]) == 1]
    out: list[tuple[str, Sample]] = []
    while len(out) < rows:
        part = PARTS[len(out) % 3]
        label = grammar.sample(rng, rng.randint(4, 30))
        if part == "rare commands":
            label = rng.choice(SHAPES) % (grammar.sample(rng, 5), " ".join(rng.sample(rare, 3)))
        try:
            image = _picture(part, label, rng)
        except LatexError:
            continue
        file = io.BytesIO()
        image.convert("RGB").save(file, "PNG")
        name = f"generated-{len(out):05d}"
        out.append((part, Sample(name, LazyImage.from_bytes(file.getvalue(), name), label)))
    return out


def _picture(part: str, label: str, rng: random.Random) -> Image.Image:
    if part == "disturbed" and rng.random() < 0.5:
        return photo(label, rng).image
    font = rng.choice(FONTS) if part == "other fonts" else "latin-modern"
    image = draw(layout(label, font=font, system_fonts=False), rng.uniform(16, 34))
    return worn(image, rng)[0] if part == "disturbed" else image


def test_rows(folder: Path) -> list[tuple[str, Sample]]:
    rows = [row for file in sorted(folder.glob("test-*.parquet")) for row in parquet.read_table(file).to_pylist()]
    return [
        ("test split", Sample(f"test-{i:05d}", LazyImage.from_bytes(row["image"]["bytes"], f"row {i}"), row["text"]))
        for i, row in enumerate(rows)
    ]


def read(model: LoadedModel, samples: Sequence[Sample], grammar: bool, limit: int) -> list[Prediction]:
    return model.read(samples, sampling=Sampling(limit, grammar=grammar), batch_size=32)


def is_accepted(prediction: Prediction) -> bool:
    """Whether the grammar lets every token of a reading pass, and its end."""
    state = advance(START, prediction.text)
    return prediction.stop == "end" and state is not None and is_complete(state)


def scores(predictions: Sequence[Prediction]) -> dict:
    scored = [ScoredPrediction.of(prediction, clean=False) for prediction in predictions]
    return {
        "rows": len(scored),
        "invalid": sum(not row.is_valid for row in scored),
        "exact": sum(row.is_exact for row in scored),
        "canonical": sum(row.is_canonically_exact for row in scored),
        "stopped": dict(Counter(prediction.stop for prediction in predictions)),
    }


def cost(model: LoadedModel, samples: Sequence[Sample], limit: int, pairs: int, block: int) -> dict:
    """The ratio of processor time with the grammar to that without, in pairs of runs over the same rows."""
    ratios: list[float] = []
    for pair in range(pairs):
        rows = [samples[(pair * block + i) % len(samples)] for i in range(block)]
        times: dict[bool, float] = {}
        tokens: dict[bool, int] = {}
        for grammar in (pair % 2 == 0, pair % 2 == 1):
            start = time.process_time()
            tokens[grammar] = sum(prediction.tokens for prediction in read(model, rows, grammar, limit))
            times[grammar] = time.process_time() - start
        if tokens[True] == tokens[False]:
            ratios.append(times[True] / times[False])
    cuts = statistics.quantiles(ratios, n=40)
    return {
        "pairs": len(ratios),
        "rows_a_run": block,
        "median_percent": round(100 * (statistics.median(ratios) - 1), 2),
        "middle_half_percent": [round(100 * (cuts[9] - 1), 2), round(100 * (cuts[29] - 1), 2)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--max-new-tokens", type=int, default=512)
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--block", type=int, default=12)
    parser.add_argument("--parts", nargs="+", choices=["test split", *PARTS], help="default: all")
    parser.add_argument("--all", action="store_true", help="read every row with the grammar")
    parser.add_argument("--cost-only", action="store_true")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    model = open_model("nano", backend="numpy" if options.cost_only else "transformers")
    rows = test_rows(options.data)
    if options.cost_only:
        print(cost(model, [sample for _, sample in rows], options.max_new_tokens, options.pairs, options.block))
        return
    rows += generated(options.rows, options.seed)
    figures: dict = {}
    for part in options.parts or dict.fromkeys(part for part, _ in rows):
        samples = [sample for name, sample in rows if name == part]
        free = read(model, samples, False, options.max_new_tokens)
        figures[part] = {"without": scores(free)}
        print(part, figures[part], flush=True)
        again = [s for s, row in zip(samples, free, strict=True) if options.all or not is_accepted(row)]
        constrained = {row.id: row for row in read(model, again, True, options.max_new_tokens)}
        runs = {"with": [constrained.get(row.id, row) for row in free]}
        runs[f"with, {options.limit} tokens at most"] = read(model, samples, True, options.limit)
        for name, predictions in runs.items():
            figures[part][name] = scores(predictions)
            print(part, name, figures[part][name], flush=True)
            for prediction in predictions:
                if not ScoredPrediction.of(prediction, clean=False).is_valid:
                    print(f"  invalid: {prediction.id} {prediction.text!r}")
        figures[part]["with"]["read_again"] = len(again)
    figures["cost"] = cost(model, [sample for _, sample in rows], options.max_new_tokens, options.pairs, options.block)
    print(figures["cost"])
    if options.write:
        command = f"python benchmarks/grammar_decoding.py --data LATEX_OCR/full --rows {options.rows}"
        write_result(options.write, "grammar decoding", command, ("numpy", "texlens"), {"parts": figures})


if __name__ == "__main__":
    main()
