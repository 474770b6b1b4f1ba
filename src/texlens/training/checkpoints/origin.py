"""What a checkpoint was trained on and with, so that `--resume` notices when it is not the same any more."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from texlens.config.run import RunConfig
from texlens.core.errors import RunError
from texlens.core.files import write_json

ORIGIN = "origin.json"
UNRELATED = (
    *("name", "output", "schema_version", "evaluate", "model.path", "model.source", "data.path"),
    *("train.logging", "train.workers", "train.checkpoints", "train.cache_features"),
)
"""Settings that may differ: they do not change what is trained, or weights and rows are compared by their content."""
UNSET = "unset"


@dataclass(frozen=True)
class Origin:
    """`base` and `rows` are fingerprints, rows by role; `settings` maps full keys to values; `finished`: training had
    come to its end."""

    base: str
    rows: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    finished: bool = False

    def write(self, folder: Path, *, finished: bool) -> None:
        write_json(folder / ORIGIN, {**asdict(self), "finished": finished})

    @classmethod
    def read(cls, checkpoint: Path) -> "Origin | None":
        """None if the checkpoint was written by version 0.1, which kept no such record.

        Raises:
            RunError: the file is damaged.
        """
        path = checkpoint / ORIGIN
        if not path.is_file():
            return None
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            raise RunError(f"{path}: damaged ({error}); remove that checkpoint") from None


def origin_of(config: RunConfig, base: str, rows: Mapping[str, str]) -> Origin:
    """
    Args:
        base: fingerprint of the base checkpoint.
        rows: fingerprint of the rows of each role.
    """
    values = dict(_flat(config.model_dump(mode="json")))
    if config.train.objective.kind == "sft":  # as in checkpoints from before there were others
        values.pop("train.objective.kind")
    return Origin(base, dict(rows), {key: value for key, value in values.items() if not _is_unrelated(key)})


def differences(before: Origin, now: Origin) -> dict[str, str]:
    """What differs, each with both values in a phrase; keys are full setting keys, `base` or `train rows`.

    A setting that the earlier version did not have, and that is null, is no difference.

    Example:
        {"train.optimizer.learning_rate": "0.0001 -> 0.001", "train rows": "other rows or images"}
    """
    changes = {}
    if before.base != now.base:
        changes["base"] = f"weights {before.base[:12]} -> {now.base[:12]}"
    for role in before.rows.keys() | now.rows.keys():
        if before.rows and before.rows.get(role) != now.rows.get(role):
            changes[f"{role} rows"] = "other rows or images"
    for key in sorted(before.settings.keys() | now.settings.keys()):
        old, new = before.settings.get(key, UNSET), now.settings.get(key, UNSET)
        is_new_and_off = old == UNSET and new is None
        if before.settings and old != new and not is_new_and_off:
            changes[key] = f"{_text(old)} -> {_text(new)}"
    return changes


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _is_unrelated(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in UNRELATED)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
