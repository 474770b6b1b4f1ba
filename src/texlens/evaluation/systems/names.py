"""Short names of systems, from what they were called on the command line."""

import re
from collections.abc import Sequence
from pathlib import Path

from texlens.core.errors import ConfigError

RUN_SYSTEMS = ("base", "adapter")
"""Names of the run's own systems."""


def names_of_systems(systems: Sequence[str]) -> dict[str, str]:
    """What was given, by the shortest ends that differ, as file names can be.

    Example:
        ["out/a/nf4", "out/b/nf4", "Qwen/Qwen3-VL-4B-Instruct"] -> names "a-nf4", "b-nf4", "Qwen-Qwen3-VL-4B-Instruct"

    Raises:
        ConfigError: a system given twice, or with the name of one of the run's own.
    """
    if not systems:
        return {}
    parts = [_parts(system) for system in systems]
    if len(set(map(tuple, parts))) < len(parts):
        raise ConfigError("a system is named twice; name each once")
    names: list[str] = []
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["-".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            break
    if taken := sorted(set(names) & set(RUN_SYSTEMS)):
        raise ConfigError(f"{taken[0]}: the run's own {taken[0]} has that name already; rename the folder or file")
    return dict(zip(names, systems, strict=True))


def _parts(system: str) -> list[str]:
    """Parts of a URL, or of the absolute path; a file without its suffix."""
    if "://" in system:
        text = re.sub(r"^\w+://([^/@]*@)?|/v1/?(?=#|$)", "", system)
    elif Path(system).exists():
        path = Path(system).resolve()
        text = str(path.with_suffix("")) if path.is_file() else str(path)
    else:
        text = system
    return [safe for part in re.split(r"[/#]", text) if (safe := re.sub(r"[^\w.-]+", "_", part).strip("_."))]
