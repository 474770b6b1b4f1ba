"""The `Processor`: tokenizer and image geometry of a checkpoint; needs no torchvision, and stock loaders read it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from texlens.core.errors import ModelError, one_line
from texlens.data.geometry import ImageGeometry, Resize
from texlens.models.checkpoint import CONFIG, read_config
from texlens.models.families import IMAGE_TOKEN, TURN_END_TOKEN, VISION_START_TOKEN, Family, family_of
from texlens.models.meta_model import build_config
from texlens.models.preprocessor import (
    FILE,
    NESTED_FILE,
    VIDEO_FILE,
    geometry_of,
    preprocessor_config,
    read_preprocessor,
    read_video_preprocessor,
    video_preprocessor_config,
)

CONFIG_TOKENS = {"image_token_id": IMAGE_TOKEN, "vision_start_token_id": VISION_START_TOKEN}
"""Keys of config.json by which the model finds the images in the tokens."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)


@dataclass(frozen=True)
class ProcessorSource:
    """The folder of a processor, and its tokenizer as it was loaded."""

    folder: Path
    tokens: int
    chat_template: str

    def has_tokenizer_of(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether the folder's tokenizer files still describe the tokenizer."""
        return len(tokenizer) == self.tokens and tokenizer.chat_template == self.chat_template


@dataclass(frozen=True)
class Processor:
    """Turns images and texts into a model's inputs, and tokens into text."""

    tokenizer: PreTrainedTokenizerBase
    geometry: ImageGeometry
    image_token_id: int
    end_token_id: int
    family: Family
    source: "ProcessorSource | None" = None
    """Where it was loaded from; None for one that was built in memory."""

    @property
    def pad_token_id(self) -> int:
        return self.end_token_id if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id


def load_processor(
    folder: str | Path, *, min_pixels: int | None = None, max_pixels: int | None = None, resize: Resize = "pil"
) -> Processor:
    """The processor of a checkpoint's folder; a pixel budget given here overrides the checkpoint's.

    Raises:
        ModelError: tokenizer or chat template missing, or without the tokens for images and the end of a turn.
        ConfigError: an impossible pixel budget.
    """
    folder = Path(folder)
    config = read_config(folder)
    family = family_of(config, str(folder / CONFIG))
    geometry = geometry_of(
        config,
        read_preprocessor(folder),
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        resize=resize,
        where=str(folder / CONFIG),
    )
    tokenizer = load_tokenizer(folder)
    image_token_id = _token_id(tokenizer, IMAGE_TOKEN, folder)
    for key, token in CONFIG_TOKENS.items():
        _check_same_id(folder, config, key, token, _token_id(tokenizer, token, folder))
    end_token_id = _token_id(tokenizer, TURN_END_TOKEN, folder)
    source = ProcessorSource(folder, len(tokenizer), str(tokenizer.chat_template))
    return Processor(tokenizer, geometry, image_token_id, end_token_id, family, source)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer with its chat template, from local files only.

    Raises:
        ModelError: files missing or damaged.
    """
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        raise ModelError(f"{folder}: no tokenizer.json (nor vocab.json) in it; download the checkpoint's tokenizer")
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        _check_tokenizes(tokenizer)
    except Exception as error:
        reason = one_line(error, 200)
        raise ModelError(f"{folder}: the tokenizer can't be read ({reason}); download its files again") from error
    tokenizer.chat_template = _chat_template(folder) or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise ModelError(
            f"{folder}: no chat template (chat_template.jinja or .json) in it; download it with the checkpoint"
        )
    return tokenizer


def _check_same_id(folder: Path, config: dict, key: str, token: str, token_id: int) -> None:
    """
    Raises:
        ModelError: the model would take another token for this one.
    """
    meant = config[key] if key in config else getattr(build_config(config, str(folder / CONFIG)), key, token_id)
    if meant != token_id:
        raise ModelError(
            f"{folder / CONFIG}: {key} is {one_line(meant, 60)}, but the tokenizer's {token} is {token_id}; use "
            "tokenizer and config from the same checkpoint"
        )


def _check_tokenizes(tokenizer: Any) -> None:
    """
    Raises:
        Exception: of any kind, where a damaged file shows only in use.
    """
    ids = tokenizer("x^2", add_special_tokens=False)["input_ids"]
    if not ids or not isinstance(tokenizer.decode(ids), str):
        raise ValueError("it makes no tokens of a text")


def save_processor(processor: Processor, folder: str | Path) -> None:
    """Writes tokenizer, chat template and image settings for stock AutoTokenizer and AutoProcessor.

    The tokenizer's files are copied byte for byte if it was loaded from files and has not changed: transformers 5
    writes them in a form that transformers 4 can't read. The pixel budget is that of `processor`; other image settings,
    and those of videos, are the source's.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = processor.source
    images = read_preprocessor(source.folder) if source else {}
    videos = read_video_preprocessor(source.folder) if source else {}
    _save_tokenizer(processor, folder)
    _write_settings(folder / FILE, preprocessor_config(processor.geometry, processor.family, images))
    _write_settings(folder / VIDEO_FILE, videos or video_preprocessor_config(processor.geometry, processor.family))
    (folder / NESTED_FILE).unlink(missing_ok=True)


def _save_tokenizer(processor: Processor, folder: Path) -> None:
    source = processor.source
    if source is None or not source.has_tokenizer_of(processor.tokenizer):
        processor.tokenizer.save_pretrained(folder)
        _make_portable(folder / "tokenizer_config.json")
        return
    if source.folder.resolve() == folder.resolve():
        return
    for name in TOKENIZER_FILES:
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def _make_portable(path: Path) -> None:
    """Names the special tokens as both transformers 4 and 5 read them; 4 fails on 5's own list."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(tokens := config.pop("extra_special_tokens", None), list):
        config["additional_special_tokens"] = tokens
    _write_settings(path, config)


def _write_settings(path: Path, settings: dict) -> None:
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _chat_template(folder: Path) -> str | None:
    """The processor's template, which handles images, has priority over the tokenizer's."""
    path = folder / "chat_template.jinja"
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8")
        path = folder / "chat_template.json"
        return str(json.loads(path.read_text(encoding="utf-8"))["chat_template"]) if path.is_file() else None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: contains no chat template; download the file again") from error


def _token_id(tokenizer: PreTrainedTokenizerBase, token: str, folder: Path) -> int:
    token_id = tokenizer.get_vocab().get(token)
    if token_id is None:
        raise ModelError(f"{folder}: the tokenizer lacks {token}; use the tokenizer that came with the checkpoint")
    return token_id
