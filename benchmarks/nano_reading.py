"""The bundled model on everything people paste: build held-out sets once, read them (resumable), score them.

    python benchmarks/nano_reading.py build --latex-ocr LATEX_OCR --node-modules FOLDER --fonts FOLDER \
        --photographs FOLDER --sets SETS
    python benchmarks/nano_reading.py read --sets SETS --model nano --out READINGS [--device cuda] [--rows 200]
    python benchmarks/nano_reading.py score --sets SETS --out READINGS [--write benchmarks/results]
    python benchmarks/nano_reading.py speed --sets SETS --model nano

Sets: `latex_ocr` (LaTeX_OCR `full` test, 501 rows), `engines` (200 rows by engines and fonts that pre-training never
drew with), `disturbed` (the first 200 rows of `latex_ocr` in eleven states), `lines` (200 rows of several lines and
matrices), `demo` (260 rows of generated handwriting), `photographs` (60 pictures of other things, never right).
Readings are greedy; those that the grammar does not accept are read again with it, under the key `constrained`.
"""

import argparse
import io
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image
from reading_sets.disturbed import DISTURBANCES
from reading_sets.scoring import file_stem

from texlens.data.sample import LazyImage, Sample

DISTURBED_ROWS = 200
CHUNK = 32
DEMO = Path(__file__).parents[1] / "src/texlens/data/demo/test-00000-of-00001.parquet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["build", "read", "score", "speed"])
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--latex-ocr", type=Path)
    parser.add_argument("--node-modules", type=Path)
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--backend", default="transformers")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rows", type=int, default=10_000, help="of each set at most")
    parser.add_argument("--only", nargs="+", help="names of sets; disturbed ones as disturbed/half size")
    parser.add_argument("--free", action="store_true", help="without the second readings that the grammar constrains")
    parser.add_argument("--part", nargs=2, type=int, default=(0, 1), help="of several processes: which, and how many")
    parser.add_argument("--unprepared", action="store_true", help="images as they are")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    {"build": build, "read": read, "score": score_all, "speed": speed}[args.action](args)


def build(args: argparse.Namespace) -> None:
    """Each set that is not there yet; those without what they need are left out."""
    from reading_sets.engines import engine_rows
    from reading_sets.lines import lines_label
    from reading_sets.photographs import cuts

    args.sets.mkdir(parents=True, exist_ok=True)
    test = parquet.read_table(args.latex_ocr / "full/test-00000-of-00001.parquet").to_pylist()
    _store(args.sets, "latex_ocr", ((row["image"]["bytes"], row["text"], {}) for row in test))
    _store(args.sets, "lines", _drawn_lines(random.Random("textbook 7"), lines_label))
    if args.node_modules and args.fonts:
        typeset = lambda: engine_rows([row["text"] for row in test], args.node_modules, args.fonts)  # noqa: E731
        rows = (
            (_png(row.image), row.label, {"engine": row.engine, "family": row.family, "rare": row.is_rare})
            for row in (typeset() if not (args.sets / "engines.parquet").is_file() else ())
        )
        _store(args.sets, "engines", rows)
    if args.photographs:
        files = sorted(file for file in args.photographs.iterdir() if file.suffix in (".png", ".jpg"))
        _store(args.sets, "photographs", ((_png(cut), "", {}) for cut in cuts(files[1::2], 60, "elsewhere 3")))


def _drawn_lines(rng: random.Random, label_of) -> Iterator[tuple[bytes, str, dict]]:
    from texlens.core.errors import LatexError
    from texlens.latex.layout.formula import layout
    from texlens.latex.render.raster import draw

    labels: set[str] = set()
    while len(labels) < 200:
        label, size = label_of(rng), rng.choice((14, 16, 18, 20))
        try:
            image = draw(layout(label, system_fonts=False), size, padding=rng.randint(4, 12))
        except LatexError:
            continue
        if label not in labels and image.width <= 640 and image.height <= 300:
            labels.add(label)
            yield _png(image), label, {"px_per_em": size}


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _store(folder: Path, name: str, rows: Iterator[tuple[bytes, str, dict]]) -> None:
    path = folder / f"{name}.parquet"
    if not path.is_file():
        table = [{"image": image, "text": text, "detail": json.dumps(detail)} for image, text, detail in rows]
        parquet.write_table(arrow.Table.from_pylist(table), path)
        print(path, len(table), flush=True)


def samples_of(folder: Path, name: str, limit: int) -> list[Sample]:
    """The rows of a set, with ids `name/number`; `disturbed/STATE` are the first rows of `latex_ocr` in that state."""
    state = name.removeprefix("disturbed/")
    rows = _rows(folder, "latex_ocr" if state in DISTURBANCES else name)
    rows = rows[: min(limit, DISTURBED_ROWS)] if state in DISTURBANCES else rows[:limit]
    change = DISTURBANCES.get(state)
    out = []
    for number, row in enumerate(rows):
        encoded = _png(change(Image.open(io.BytesIO(row["image"])))) if change else row["image"]
        out.append(Sample(f"{name}/{number:04d}", LazyImage.from_bytes(encoded, f"{name} {number}"), row["text"]))
    return out


def _rows(folder: Path, name: str) -> list[dict]:
    if name == "demo":
        return [row | {"image": row["image"]["bytes"]} for row in parquet.read_table(DEMO).to_pylist()]
    return parquet.read_table(folder / f"{name}.parquet").to_pylist()


def set_names(folder: Path, only: Sequence[str] | None) -> list[str]:
    stored = [name for name in ("latex_ocr", "engines", "lines") if (folder / f"{name}.parquet").is_file()]
    others = ["photographs"] if (folder / "photographs.parquet").is_file() else []
    names = [*stored, "demo", *(f"disturbed/{state}" for state in DISTURBANCES), *others]
    return [name for name in names if not only or name in only]


def read(args: argparse.Namespace) -> None:
    """One file of predictions a set; rows that are there are not read again."""
    from texlens.inference.decoding.sampling import Sampling
    from texlens.inference.open import open_model
    from texlens.latex.grammar import START, advance, is_complete

    model = open_model(args.model, backend=args.backend, device=args.device)
    if args.unprepared:
        model = replace(model, preparation=None)
    limit = min(model.max_new_tokens, 512)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in set_names(args.sets, args.only):
        path = args.out / f"{file_stem(name)}.{args.part[0]}.jsonl"
        done = {json.loads(line)["id"] for line in path.open()} if path.is_file() else set()
        rows = samples_of(args.sets, name, args.rows)[args.part[0] :: args.part[1]]
        samples = [sample for sample in rows if sample.id not in done]
        start = time.perf_counter()
        with path.open("a") as file:
            for first in range(0, len(samples), CHUNK):
                part = samples[first : first + CHUNK]
                free = model.read(part, sampling=Sampling(limit), batch_size=args.batch_size)
                accepted = {
                    row.id
                    for row in free
                    if (state := advance(START, row.text)) is not None and is_complete(state) and row.stop == "end"
                }
                again = [] if args.free else [sample for sample in part if sample.id not in accepted]
                sampling = Sampling(limit, grammar=True)
                second = {row.id: row for row in model.read(again, sampling=sampling, batch_size=args.batch_size)}
                for row in free:
                    entry = {"id": row.id, "free": row.to_row()}
                    entry |= {"constrained": second[row.id].to_row()} if row.id in second else {}
                    print(json.dumps(entry, ensure_ascii=False), file=file, flush=True)
        print(f"{name}: {len(samples)} rows in {time.perf_counter() - start:.1f} s", flush=True)


def score_all(args: argparse.Namespace) -> None:
    from reading_sets.scoring import table
    from result import write_result

    figures = table(args.sets, args.out, set_names(args.sets, args.only))
    for name, row in figures.items():
        print(name, json.dumps(row))
    if args.write:
        command = "python benchmarks/nano_reading.py build, read, score"
        write_result(args.write, "nano reading", command, ("numpy", "texlens"), {"sets": figures})


def speed(args: argparse.Namespace) -> None:
    """Images a second of one core's processor time, over 40 rows of `latex_ocr`, one by one, numpy backend."""
    from texlens.inference.open import open_model

    model = open_model(args.model, backend="numpy")
    samples = samples_of(args.sets, "latex_ocr", 40)
    model.read(samples[:2], batch_size=1)
    start = time.process_time()
    tokens = sum(prediction.tokens for prediction in model.read(samples, batch_size=1))
    seconds = time.process_time() - start
    print({"images_per_s": round(40 / seconds, 2), "tokens_per_s": round(tokens / seconds, 1)})


if __name__ == "__main__":
    main()
