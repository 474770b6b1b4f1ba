"""Small folders of drawn formulas."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from texlens.latex.render.formats import render_png


@pytest.fixture
def formula_rows() -> Callable[[Path, str, Mapping[str, tuple[str, str]]], Path]:
    """`formula_rows(folder, "test", {"a.png": (drawn, label)})` writes images and a JSONL file of a split."""

    def write(folder: Path, split: str, rows: Mapping[str, tuple[str, str]]) -> Path:
        lines = []
        for name, (drawn, label) in rows.items():
            (folder / name).write_bytes(render_png(drawn))
            lines.append(json.dumps({"image": name, "text": label}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
        return folder

    return write
