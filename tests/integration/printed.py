"""The commands that `--help` and the READMEs print, and the files that they take for granted."""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click
import typer
from PIL import Image

from tests.integration.conftest import LABELS, ROOT, write_rows
from texlens.cli.main import app
from texlens.latex.render.formats import render_png


def printed_in_help() -> Iterator[str]:
    def walk(command: click.Command) -> Iterator[str]:
        yield from commands_in(command.help or "")
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    yield from walk(typer.main.get_command(app))


def printed_in_readmes() -> Iterator[str]:
    for name in ("README.md", "README.zh-CN.md"):
        text = (ROOT / name).read_text(encoding="utf-8") if (ROOT / name).is_file() else ""
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield from commands_in(block)


def commands_in(text: str) -> Iterator[str]:
    """Lines that begin with `texlens `, joined with those that go on with an option."""
    joined = re.sub(r"\\?\n\s*(?=--)", " ", text)
    for line in joined.splitlines():
        if line.strip().startswith("texlens "):
            yield re.sub(r"\s+(#|>|\|).*$", "", line.strip())


def make_inputs(arguments: Sequence[str]) -> None:
    """In the current folder, what the arguments name as input; what follows `-o` is for the command to make."""
    after_output = {position + 1 for position, word in enumerate(arguments) if word in ("-o", "--output")}
    named = [word for position, word in enumerate(arguments) if position not in after_output]
    names = {part for word in named for part in (word, re.sub(r"^\w+=|:[\d.]+$", "", word))}
    names |= {re.sub(r":[\d.]+$", "", name) for name in names}
    for name, make in INPUTS.items():
        if name in names:
            make(Path(name))


def _data_set(folder: Path) -> None:
    labels = [f"{label} + {number}" for number in range(3) for label in LABELS]
    write_rows(folder / "train-00000-of-00001.parquet", labels)
    write_rows(folder / "test-00000-of-00001.parquet", ["\\beta ^ { 2 }", "w / 2"])


def _scans(folder: Path) -> None:
    for name in ("1.png", "2.png"):
        _picture(folder / name)


def _picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(render_png("x ^ { 2 }"))


def _pdf(file: Path) -> None:
    pages = [Image.open(io.BytesIO(render_png(formula))).convert("RGB") for formula in ("x", "y ^ { 2 }", "z")]
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    parts = [{"page": number, "box": [0, 0, 1, 1], "text": text} for number, text in ((1, "x"), (3, "z"))]
    file.with_suffix(".jsonl").write_text("".join(json.dumps(part) + "\n" for part in parts))


def _table(file: Path) -> None:
    _picture(file.parent / "a.png")
    file.write_text("path,latex\na.png,x ^ { 2 }\n")


def _exported_table(file: Path) -> None:
    """A table as `texlens data export --to csv` writes it."""
    _picture(file.parent / "a.png")
    file.write_text("image_path,text\na.png,x ^ { 2 }\n")


def _photos(folder: Path) -> None:
    _picture(folder / "a.png")
    (folder / "a.txt").write_text("a tree")


def _conversations(file: Path) -> None:
    _picture(file.parent / "a.png")
    turns = [{"from": "human", "value": "<image>\nRead it."}, {"from": "gpt", "value": "x ^ { 2 }"}]
    file.write_text(json.dumps([{"id": "a", "image": "a.png", "conversations": turns}]))


def _captions(file: Path) -> None:
    _picture(file.parent.parent / "val2017" / "a.png")
    captions = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "caption": "a tree"}]}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(captions))


def _predictions(file: Path) -> None:
    row = {"id": "1", "reference": "x", "text": "x", "gt": "x", "pred": "x"}
    file.write_text(json.dumps(row) + "\n")


def _formulas(file: Path) -> None:
    file.write_text("\n".join(f"{label} + {number}" for number in range(8) for label in LABELS))


def _edits(file: Path) -> None:
    """A file of edits of `data/mine` that has none yet."""
    file.touch()


DATA_SETS = ("data/mine", "data/handwriting", "data/printed", "data/a/rows", "data/b/rows", "my_rows", "rows")
INPUTS: Mapping[str, Callable[[Path], None]] = {
    "paper.pdf": _pdf,
    **dict.fromkeys(DATA_SETS, _data_set),
    "scans/": _scans,
    "scans/*.png": lambda pattern: _scans(pattern.parent),
    "formula.png": _picture,
    "image.png": _picture,
    "labels.csv": _table,
    "table/train.csv": _exported_table,
    **dict.fromkeys(("photos", "photos/"), _photos),
    "train.json": _conversations,
    "annotations/captions_val2017.json": _captions,
    "predictions.jsonl": _predictions,
    "mine.txt": _formulas,
    "edits.jsonl": _edits,
}
"""What makes each thing that a printed command names."""
