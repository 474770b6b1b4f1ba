"""config.json in a form that transformers 4 and 5 read alike."""

import json
import shutil
from pathlib import Path
from typing import Any

from texlens.core.files import write_json


def write_portable_config(source: Path, target: Path) -> None:
    """Copies config.json; byte for byte if transformers 4 reads it."""
    config = json.loads(source.read_text(encoding="utf-8"))
    portable = portable_config(config)
    if portable == config:
        shutil.copyfile(source, target)
    else:
        write_json(target, portable)


def portable_config(config: dict[str, Any]) -> dict[str, Any]:
    """The config with `rope_theta` and `rope_scaling`, which transformers 4 needs, next to `rope_parameters`.

    Checkpoints on the hub have the former; transformers 5 saves the latter only, and reads both.
    """
    parts = {key: portable_config(value) for key, value in config.items() if isinstance(value, dict)}
    rope = config.get("rope_parameters")
    if not isinstance(rope, dict) or "rope_theta" in config or "mrope_section" not in rope:
        return {**config, **parts}
    scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
    return {**config, **parts, "rope_theta": rope.get("rope_theta"), "rope_scaling": scaling}
