"""What a pre-training call was made from: settings, data, fonts and versions, in `provenance.json`."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import transformers

FILE = "provenance.json"


def write_provenance(out: Path, settings: Mapping[str, object], files: Sequence[Path]) -> None:
    """One entry a call, in order; files by the first 16 digits of their SHA-256."""
    path = out / FILE
    calls = json.loads(path.read_text()) if path.is_file() else []
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    calls.append(
        {
            "settings": {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()},
            "files": {file.name: digest(file) for file in files},
            "code": code_digest(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "device": device,
        }
    )
    path.write_text(json.dumps(calls, indent=2) + "\n")


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def code_digest() -> str:
    """Of all Python files of the pre-training package."""
    folder = Path(__file__).parent
    together = "".join(digest(file) for file in sorted(folder.rglob("*.py")))
    return hashlib.sha256(together.encode()).hexdigest()[:16]
