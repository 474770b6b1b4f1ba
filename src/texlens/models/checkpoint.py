"""Checks of a checkpoint's folder before anything is loaded: config, family, complete shards; and its fingerprint."""

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from texlens.core.errors import ModelError, one_line
from texlens.models.checks.config_limits import config_fault
from texlens.models.checks.safetensors_header import header_fault
from texlens.models.families import Family, family_of

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")

MAX_HEADER_BYTES = 100_000_000
"""As the safetensors library has it."""
SAMPLED_BYTES = 256
"""Bytes from the middle of each tensor that are hashed in the fingerprint."""

_NOT_FINGERPRINTED = ("transformers_version", "_name_or_path")


def read_config(folder: str | Path) -> dict:
    """The config.json of a checkpoint's folder.

    Raises:
        ModelError: no such folder, no config.json, or one that is not JSON.
    """
    folder = Path(folder)
    if not folder.exists():
        raise ModelError(f"{folder}: no such folder; check model.path, or fetch it with `texlens models download`")
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder}: no {CONFIG} in it; name the folder of a checkpoint")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON ({one_line(error, 200)}); download the checkpoint again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path}: not a JSON object; download the checkpoint again")
    if reason := config_fault(config):
        raise ModelError(f"{path}: {reason}; download the checkpoint again")
    return config


def check_checkpoint(folder: str | Path) -> Family:
    """The family of a checkpoint that is complete: safetensors only, every shard present and not truncated.

    Reads the headers of the shards, no weights.

    Raises:
        ModelError: an unknown family, or an incomplete file, which is named.
    """
    config = read_config(folder)
    family = family_of(config, str(Path(folder) / CONFIG))
    for _ in tensors(folder):
        pass
    return family


def weight_files(folder: str | Path) -> list[Path]:
    """The safetensors files with the weights, sorted by name.

    Raises:
        ModelError: no safetensors file, only pickle files, or a shard of the index is missing.
    """
    folder = Path(folder)
    if (folder / INDEX).is_file():
        shards = sorted(set(_weight_map(folder).values()))
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing:
            raise ModelError(
                f"{folder / missing[0]}: this shard is missing ({len(missing)} of {len(shards)} are); "
                f"run the download again, it resumes"
            )
        return [folder / shard for shard in shards]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ModelError(
            f"{folder / pickles[0]}: pickled weights are refused, because loading them can run any code; "
            f"use the safetensors revision of this checkpoint"
        )
    raise ModelError(f"{folder}: neither {SINGLE} nor {INDEX} in it; run the download again")


def tensors(folder: str | Path) -> Iterator[tuple[Path, str, dict]]:
    """File, name and header entry (`dtype`, `shape`, `data_offsets` from the file's start) of every tensor.

    Raises:
        ModelError: a file is truncated, not a safetensors file, or lacks a tensor that the index lists for it.
    """
    folder = Path(folder)
    files = weight_files(folder)
    weight_map = _weight_map(folder) if (folder / INDEX).is_file() else {}
    for path in files:
        header = read_header(path)
        expected = [name for name, shard in weight_map.items() if shard == path.name]
        missing = next((name for name in expected if name not in header), None)
        if missing is not None:
            raise ModelError(f"{path}: lacks {missing}, which {INDEX} lists for it; download this file again")
        for name, entry in header.items():
            yield path, name, entry


def read_header(path: Path) -> dict[str, dict]:
    """Name to `{"dtype", "shape", "data_offsets"}` of a safetensors file whose size agrees with its header.

    Raises:
        ModelError: the file is truncated, too long, or of another format.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if 8 + length > size:
            raise ModelError(f"{path}: truncated ({size:,} bytes end inside its header); download this file again")
        if length > MAX_HEADER_BYTES:
            raise ModelError(f"{path}: not a safetensors file (a header of {length:,} bytes); download it again")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path}: not a safetensors file; download this file again") from error
    if reason := header_fault(header):
        raise ModelError(f"{path}: damaged ({reason}); download this file again")
    header.pop("__metadata__", None)
    offset = 8 + length
    for entry in header.values():
        entry["data_offsets"] = [offset + position for position in entry["data_offsets"]]
    expected = max((entry["data_offsets"][1] for entry in header.values()), default=offset)
    if expected != size:
        raise ModelError(f"{path}: {size:,} bytes where its header says {expected:,}; download this file again")
    return header


def fingerprint(folder: str | Path) -> str:
    """The sha256 (hexadecimal) of the weights and config in a folder; it does not depend on how weights are sharded.

    Hashes the config, and of each tensor its name, type, shape and `SAMPLED_BYTES` from its middle, so 60 GB take
    about a second.
    """
    config = {key: value for key, value in read_config(folder).items() if key not in _NOT_FINGERPRINTED}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for path, name, entry in sorted(tensors(folder), key=lambda item: item[1]):
        digest.update(f"{name} {entry['dtype']} {entry['shape']}".encode())
        digest.update(_middle(path, *entry["data_offsets"]))
    return digest.hexdigest()


def _middle(path: Path, begin: int, end: int) -> bytes:
    length = min(SAMPLED_BYTES, end - begin)
    with path.open("rb") as file:
        file.seek(begin + (end - begin - length) // 2)
        return file.read(length)


def _weight_map(folder: Path) -> Mapping[str, str]:
    path = folder / INDEX
    try:
        shards = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: not a valid index of shards; download the file again") from error
    if not isinstance(shards, dict) or not shards or not all(isinstance(shard, str) for shard in shards.values()):
        raise ModelError(f"{path}: its weight_map does not name a file for each tensor; download the file again")
    outside = next((shard for shard in shards.values() if Path(shard).name != shard), None)
    if outside is not None:
        raise ModelError(f"{path}: lists the shard {outside!r}, which is not a file in this folder; download it again")
    return shards
