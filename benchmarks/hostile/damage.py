"""Damage to JSON, text and safetensors files, drawn at random."""

import json
import random
import struct
from pathlib import Path
from typing import Any

DEEP = "[" * 100_000 + "]" * 100_000
WHOLE_FILES = (
    b"",
    b"[]",
    b"{}",
    b"1",
    b"null",
    b'"x"',
    DEEP.encode(),
    b"\xff\xfe{",
    b"\xef\xbb\xbf{}",
    b"NaN",
    b"[{}]",
)
VALUES: tuple[Any, ...] = (
    None,
    [],
    {},
    "x",
    "",
    -1,
    0,
    1.5,
    True,
    10**14,
    10**30,
    -(10**9),
    1e308,
    float("nan"),
    float("inf"),
    [None],
    {"a": []},
    [[[]]],
    "\x1b[31mred",
    "[/red]x",
    "\ud800",
    "../../etc/passwd",
    "a" * 100_000,
)
PATTERNS = ("(.*)*(.*)*(.*)*(.*)*z$", "(a+)+$", "[", "(?P<x", "(.*){1000}(.*){1000}", "x" * 50_000)
TENSOR_ENTRIES = (
    {"shape": [-1, 4]},
    {"shape": "x"},
    {"shape": [10**12]},
    {"shape": None},
    {"dtype": "F7"},
    {"dtype": None},
    {"data_offsets": [-8, 4]},
    {"data_offsets": [8, 0]},
    {"data_offsets": [0]},
    {"data_offsets": "x"},
    {"data_offsets": None},
    {"data_offsets": [0, 10**15]},
    {"data_offsets": [0, 1e300]},
    {"data_offsets": [0.5, 8.5]},
)


def damage_file(path: Path, rng: random.Random) -> None:
    """Changes the file in a way that fits its kind."""
    if path.suffix == ".safetensors" and rng.random() < 0.7:
        damage_safetensors(path, rng)
    elif path.suffix in (".json", ".jsonl") and rng.random() < 0.8:
        damage_json(path, rng)
    else:
        path.write_bytes(damaged_bytes(path.read_bytes(), rng))


def damage_json(path: Path, rng: random.Random) -> None:
    if rng.random() < 0.25:
        path.write_bytes(rng.choice(WHOLE_FILES))
        return
    lines = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]
    number = rng.randrange(len(lines)) if lines else 0
    value = json.loads(lines[number]) if lines else {}
    for _ in range(rng.choice((1, 1, 2))):
        value = changed_value(value, rng)
    text = json.dumps(value)
    if rng.random() < 0.05:
        text = text.replace("{", '{"deep": ' + DEEP + ", ", 1)
    lines[number : number + 1] = [text]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def changed_value(value: Any, rng: random.Random) -> Any:
    """The value with one part of it, at any depth, removed or replaced."""
    keys: list = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or rng.random() < 0.1:
        return rng.choice(PATTERNS) if rng.random() < 0.1 else rng.choice(VALUES)
    key = rng.choice(keys)
    if rng.random() < 0.2:
        del value[key]
    elif isinstance(value[key], dict | list) and value[key] and rng.random() < 0.7:
        value[key] = changed_value(value[key], rng)
    else:
        value[key] = rng.choice(PATTERNS) if rng.random() < 0.15 else rng.choice(VALUES)
    return value


def damage_safetensors(path: Path, rng: random.Random) -> None:
    """A header that is no object, says something strange of a tensor, or a length that does not fit."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    kind = rng.randrange(6)
    if kind == 0:
        text = rng.choice(WHOLE_FILES)
    elif kind == 1:
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", rng.choice((0, 1, length + 1, 10**9, 2**63, 2**64 - 1))) + text + body)
        return
    else:
        name = rng.choice([name for name in header if name != "__metadata__"])
        if kind == 2:
            header[name] = rng.choice(VALUES)
        elif kind == 3:
            header["__metadata__"] = rng.choice(VALUES)
        elif kind == 4:
            header[rng.choice(("", "x", "\x1b[31m", "a" * 5000))] = header.pop(name)
        else:
            header[name] |= rng.choice(TENSOR_ENTRIES)
        text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, replaced or put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(changed)) if changed else 0
        kind = rng.randrange(5)
        if kind == 0 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at:]
        elif kind == 2:
            changed[at:at] = changed[at : at + rng.randrange(1, 64)]
        elif kind == 3:
            changed[at : at + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(9))
        else:
            changed[at:at] = rng.choice((b"\0", b"\r", b'"', b"[" * 3_000, b"9" * 5_000, b"\xff\xfe", b"\\ud800"))
    return bytes(changed)
