"""Which parquet files of a local folder make up which split: the layout of data sets on the hubs.

The README's `configs` go first. Without them names decide: `train-00000-of-00001.parquet`, `train.parquet` or
`train/any.parquet`, in the subset's folder, the folder itself or its `data`.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from texlens.core.errors import DataError, one_line

SHARD = re.compile(r"^(.+?)-\d{5}-of-\d{5}(-[0-9a-f]+)?$")
SPLIT_NAMES = ("train", "validation", "val", "valid", "dev", "test")

Splits = dict[str, list[Path]]


def parquet_splits(path: Path, subset: str | None, *, allow_outside: bool = False) -> Splits:
    """Files of each split, sorted.

    Raises:
        DataError: no such subset, or several and none chosen, or no parquet file.
    """
    if path.is_file():
        return {_split_name(path) or "train": [path]}
    configs = _readme_configs(path / "README.md")
    splits = _from_configs(path, configs, subset, allow_outside) if configs else _from_names(path, subset)
    if not any(splits.values()):
        raise DataError(f"{path}: no parquet file of {subset or 'any split'} in it; check data.path and data.subset")
    return {split: files for split, files in splits.items() if files}


def _readme_configs(readme: Path) -> list[dict]:
    """The `configs` of the README's front matter; [] where there are none."""
    if not readme.is_file():
        return []
    parts = readme.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return []
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise DataError(f"{readme}: its front matter is no YAML ({one_line(error, 200)}); fix or remove it") from error
    configs = head.get("configs") if isinstance(head, dict) else None
    return [config for config in configs or [] if isinstance(config, dict) and "data_files" in config]


def _from_configs(folder: Path, configs: list[dict], subset: str | None, allow_outside: bool) -> Splits:
    by_name = {str(config.get("config_name", "default")): config for config in configs}
    named_default = next((name for name, config in by_name.items() if config.get("default")), "default")
    chosen = subset or (next(iter(by_name)) if len(by_name) == 1 else named_default)
    if chosen not in by_name:
        reason = f"no subset {subset!r}" if subset else "several subsets"
        raise DataError(f"{folder}: {reason}; set data.subset to one of {', '.join(by_name)}")
    config = by_name[chosen]
    base = folder / str(config.get("data_dir", ""))
    return {
        split: sorted(_matching(base, patterns, folder, allow_outside))
        for split, patterns in _patterns(config["data_files"], folder)
    }


def _patterns(data_files: object, folder: Path) -> Iterable[tuple[str, list[str]]]:
    """(split, patterns) of any form that `data_files` may have: text, list of text, or list of split and path."""
    entries = data_files if isinstance(data_files, list) else [data_files]
    if all(isinstance(entry, str) for entry in entries):
        return [("train", [str(entry) for entry in entries])]
    if not all(isinstance(entry, dict) and {"split", "path"} <= entry.keys() for entry in entries):
        raise DataError(f"{folder / 'README.md'}: data_files must be paths, or a list of split and path; fix it")
    return [
        (str(entry["split"]), entry["path"] if isinstance(entry["path"], list) else [str(entry["path"])])
        for entry in entries
    ]


def _matching(base: Path, patterns: Iterable[str], folder: Path, allow_outside: bool) -> set[Path]:
    files: set[Path] = set()
    for pattern in patterns:
        if not allow_outside and (Path(pattern).is_absolute() or ".." in Path(pattern).parts):
            raise DataError(f"{folder / 'README.md'}: {pattern!r} leaves the folder; move the files in")
        files.update(path for path in base.glob(pattern) if path.suffix == ".parquet")
    return files


def _from_names(folder: Path, subset: str | None) -> Splits:
    home = folder / subset if subset else folder
    if not home.is_dir():
        raise DataError(f"{folder}: no subset {subset!r}; {_available_subsets(folder)}")
    nested = [path for name in SPLIT_NAMES for path in (home / name).glob("*.parquet")]
    files = sorted([*home.glob("*.parquet"), *nested]) or sorted((home / "data").glob("*.parquet"))
    if not files and not subset:
        raise DataError(f"{folder}: no parquet file in it; {_available_subsets(folder)}")
    named: Splits = {}
    for path in files:
        split = path.parent.name if path in nested else _split_name(path)
        named.setdefault(split or "", []).append(path)
    unnamed = named.pop("", [])
    return named or {"train": unnamed}


def _split_name(path: Path) -> str | None:
    shard = SHARD.match(path.stem)
    if shard:
        return shard.group(1)
    return path.stem if path.stem in SPLIT_NAMES else None


def _available_subsets(folder: Path) -> str:
    subsets = sorted({path.parent.name for path in folder.glob("*/*.parquet") if path.parent.name not in SPLIT_NAMES})
    return f"set data.subset to one of {', '.join(subsets)}" if subsets else "check data.path"
