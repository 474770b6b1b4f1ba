"""Which files of a folder are published, and that none of them contains a path of this machine.

Files are published by an allow-list. What is not on it, such as optimizer states, random states, logs, predictions or
data, stays here and is named.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from texlens.core.errors import ExportError
from texlens.core.files import sha256_of, write_json

PUBLISHED = (
    *("README.md", "LICENSE*", "NOTICE*", "texlens.json", "Modelfile", "load.py", "moe_lora/*.py"),
    *("adapter_config.json", "adapter_model.safetensors", "config.json", "generation_config.json"),
    *("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json", "*.gguf"),
    *("tokenizer*.json", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json"),
    *("chat_template.jinja", "chat_template.json", "tokenizer.model", "quantization_config.json"),
)
"""Patterns of paths inside the folder."""
SETTINGS = ("README.md", "texlens.json", "adapter_config.json", "config.json")
"""Files that no absolute path belongs into."""
TEXT_SUFFIXES = (".json", ".md", ".txt", ".jinja", ".yaml", ".py", "")
MAX_SCANNED_BYTES = 32 << 20
"""Larger text files are tokenizers and the like, which no path of ours gets into."""
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/])(?:/(?:home|root|Users|mnt|data|tmp|work|workspace|opt|srv|var)/|[A-Za-z]:\\\\?)[\w.\\/-]+"
)


@dataclass(frozen=True)
class PublishedFile:
    """`path` inside the folder."""

    path: str
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "bytes": self.bytes, "sha256": self.sha256}


def published_files(folder: Path) -> tuple[list[PublishedFile], list[str]]:
    """The files that may be published, and the names of those that stay.

    Raises:
        ExportError: a link, or no weights among the files.
    """
    files, left = [], []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ExportError(f"{path}: a link, whose content would be published; put the file itself there")
        if not path.is_file():
            continue
        if any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in PUBLISHED):
            files.append(PublishedFile(name, path.stat().st_size, sha256_of(path)))
        else:
            left.append(name)
    if not any(file.path.endswith((".safetensors", ".gguf")) for file in files):
        raise ExportError(f"{folder}: no weights in it; name a run or a folder that `texlens export` made")
    return files, left


def check_no_paths(folder: Path, files: Iterable[PublishedFile], private: Iterable[str]) -> None:
    """
    Args:
        private: texts that no file may contain, such as the path of the data.

    Raises:
        ExportError: a file contains one.
    """
    texts = [text for text in private if text]
    for file in files:
        path = folder / file.path
        if path.suffix not in TEXT_SUFFIXES or file.bytes > MAX_SCANNED_BYTES:
            continue
        content = path.read_text(encoding="utf-8", errors="replace")
        named = [text for text in texts if text in content]
        if file.path in SETTINGS:
            named += ABSOLUTE_PATH.findall(content)
        if named:
            raise ExportError(f"{file.path}: contains {named[0]!r}, a path of this machine; nothing was published")


def without_paths(folder: Path, replaced: Mapping[str, str]) -> None:
    """Replaces values of the folder's settings that are paths of this machine, such as that of the base."""
    for name in SETTINGS[1:]:
        path = folder / name
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            write_json(path, _replaced(content, replaced))


def _replaced(value: Any, replaced: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(part, replaced) for key, part in value.items()}
    if isinstance(value, list):
        return [_replaced(part, replaced) for part in value]
    return replaced.get(value, value) if isinstance(value, str) else value
