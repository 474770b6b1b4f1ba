"""Files in the package: the configurations of the checkpoints that the recipes use, and the nano model."""

import json
from functools import cache
from pathlib import Path

CONFIG_FOLDER = Path(__file__).parent / "configs"
NANO_FOLDER = Path(__file__).parent / "nano"
EARLIER_NANOS = {"1fde238376d06ec848cf78b5857acc1ca09bd84b886691f444169ec4ccbf64b8": "0.1"}
"""Fingerprint of nano models that were bundled before -> the last version that had them."""


@cache
def bundled_names() -> tuple[str, ...]:
    """The checkpoints whose configurations are bundled, such as `Qwen3-VL-4B-Instruct`."""
    return tuple(sorted(path.stem for path in CONFIG_FOLDER.glob("*.json")))


def bundled_config(name_or_id: str | Path) -> dict | None:
    """The config.json of a bundled checkpoint, or None; only the last part of a hub id or path counts.

    Example:

        Qwen/Qwen3-VL-4B-Instruct     -> Qwen3-VL-4B-Instruct.json
        /models/qwen3-vl-4b-instruct  -> Qwen3-VL-4B-Instruct.json
        nano                          -> the nano model's own config.json
    """
    name = Path(name_or_id).name.lower()
    if name == "nano":
        return _read(NANO_FOLDER / "config.json")
    return next((_read(CONFIG_FOLDER / f"{known}.json") for known in bundled_names() if known.lower() == name), None)


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
