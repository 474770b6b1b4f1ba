"""The static page of a web export: this package's files and onnxruntime-web's, next to the ONNX pair."""

import shutil
from pathlib import Path
from typing import Any

from texlens.exporting.web.runtime import copy_runtime

PAGE = Path(__file__).parent / "page"


def write_page(folder: Path) -> dict[str, Any]:
    """Writes the page into a folder with the ONNX pair and reader.json; returns what the manifest says of it.

    Raises:
        ExportError: onnxruntime-web's files can't be had.
    """
    runtime = copy_runtime(folder)
    for path in sorted(PAGE.iterdir()):
        shutil.copyfile(path, folder / path.name)
    return {"runtime": runtime, "page bytes": sum(path.stat().st_size for path in page_files(folder))}


def page_files(folder: Path) -> list[Path]:
    """What a browser loads of the folder."""
    kinds = (".html", ".css", ".js", ".mjs", ".wasm", ".onnx")
    return [path for path in sorted(folder.iterdir()) if path.suffix in kinds or path.name == "reader.json"]
