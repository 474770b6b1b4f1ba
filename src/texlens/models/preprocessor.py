"""The image settings of a checkpoint: read from preprocessor_config.json in any of its forms, and written."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from texlens.core.errors import ModelError, one_line
from texlens.data.geometry import ImageGeometry, Resize
from texlens.data.lazy_image import MAX_IMAGE_PIXELS
from texlens.models.families import Family, family_of

FILE = "preprocessor_config.json"
VIDEO_FILE = "video_preprocessor_config.json"
NESTED_FILE = "processor_config.json"
MAX_BUDGET_PIXELS = MAX_IMAGE_PIXELS
"""A pixel budget over this is damaged metadata: no image is larger, and patches of one would not fit into memory."""
_BUDGETS = ("min_pixels", "max_pixels")


def read_preprocessor(folder: Path) -> dict:
    """The settings of the image processor in a checkpoint's folder; empty if it has none.

    transformers 5 nests them in processor_config.json and reads that file first; so does this function.
    """
    nested = _read(folder / NESTED_FILE).get("image_processor")
    return nested if isinstance(nested, dict) else _read(folder / FILE)


def read_video_preprocessor(folder: Path) -> dict:
    """The settings of the video processor in a checkpoint's folder; empty if it has none."""
    nested = _read(folder / NESTED_FILE).get("video_processor")
    return nested if isinstance(nested, dict) else _read(folder / VIDEO_FILE)


def geometry_of(
    config: Mapping,
    preprocessor: Mapping | None = None,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    resize: Resize = "pil",
    where: str = "config.json",
) -> ImageGeometry:
    """How images become patches: arguments override the checkpoint's settings, which override the family's defaults.

    Args:
        config: the checkpoint's config.json.
        preprocessor: the result of `read_preprocessor`.

    Raises:
        ModelError: an unknown family, or a preprocessor with another patch size than the weights.
        ConfigError: an impossible pixel budget.
    """
    family = family_of(config, where)
    settings = dict(preprocessor or {})
    if reason := settings_fault(settings):
        raise ModelError(f"{where}: the image settings beside it are damaged ({reason}); download {FILE} again")
    sizes = _sizes(family, config.get("vision_config") or {}, settings, where)
    lowest, highest = _budget(family, settings)
    lowest = lowest if min_pixels is None else min_pixels
    highest = highest if max_pixels is None else max_pixels
    return ImageGeometry(
        **sizes,
        min_pixels=lowest,
        max_pixels=highest,
        max_aspect=family.max_aspect,
        resize=resize,
        mean=_channels(settings.get("image_mean") or family.mean),
        std=_channels(settings.get("image_std") or family.std),
    )


def preprocessor_config(geometry: ImageGeometry, family: Family, base: Mapping = MappingProxyType({})) -> dict:
    """The settings that the stock image processor reads, with the pixel budget of `geometry`.

    The budget is there twice: transformers 4.57's processor without torchvision ignores `size`.

    Args:
        base: settings of the checkpoint, of which those that `geometry` does not determine are preserved.
    """
    determined = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(geometry.mean),
        "image_processor_type": "Qwen2VLImageProcessor",
        "image_std": list(geometry.std),
        "max_pixels": geometry.max_pixels,
        "merge_size": geometry.merge_size,
        "min_pixels": geometry.min_pixels,
        "patch_size": geometry.patch_size,
        "processor_class": family.processor_class,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"longest_edge": geometry.max_pixels, "shortest_edge": geometry.min_pixels},
        "temporal_patch_size": geometry.temporal_patch_size,
    }
    chosen_by_base = {key: base[key] for key in ("image_processor_type", "processor_class") if key in base}
    return {**base, **determined, **chosen_by_base}


def video_preprocessor_config(geometry: ImageGeometry, family: Family) -> dict:
    """The settings that make stock processors use the family's own class for videos."""
    return {
        "image_mean": list(geometry.mean),
        "image_std": list(geometry.std),
        "merge_size": geometry.merge_size,
        "patch_size": geometry.patch_size,
        "processor_class": family.processor_class,
        "temporal_patch_size": geometry.temporal_patch_size,
        "video_processor_type": family.video_processor_class,
    }


def _sizes(family: Family, vision: Mapping, settings: Mapping, where: str) -> dict[str, int]:
    named_in_config = {
        "patch_size": vision.get("patch_size"),
        "merge_size": vision.get("spatial_merge_size"),
        "temporal_patch_size": vision.get("temporal_patch_size"),
    }
    for key, weights in named_in_config.items():
        if weights is not None and settings.get(key, weights) != weights:
            raise ModelError(
                f"{where}: the vision tower's {key} is {weights}, but {FILE} has {settings[key]}; "
                f"use both files from the same checkpoint"
            )
    return {key: weights or settings.get(key) or getattr(family, key) for key, weights in named_in_config.items()}


def _channels(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def _budget(family: Family, settings: Mapping) -> tuple[int, int]:
    size = settings.get("size") or {}
    lowest = settings.get("min_pixels") or size.get("shortest_edge") or size.get("min_pixels") or family.min_pixels
    highest = settings.get("max_pixels") or size.get("longest_edge") or size.get("max_pixels") or family.max_pixels
    return lowest, highest


def _read(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON ({one_line(error, 200)}); download the file again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not a JSON object; download the file again")
    return content


def settings_fault(settings: Mapping) -> str | None:
    """Which image setting is of a type or size that no checkpoint has, or None.

    Example:
        {"size": {"shortest_edge": 10**14}} -> "size.shortest_edge is 100000000000000"
    """
    size = settings.get("size") or {}
    if not isinstance(size, Mapping):
        return f"size is {one_line(size, 60)}"
    numbers = {name: settings.get(name) for name in (*_BUDGETS, "patch_size", "merge_size", "temporal_patch_size")}
    numbers |= {f"size.{name}": size.get(name) for name in (*_BUDGETS, "shortest_edge", "longest_edge")}
    for name, value in numbers.items():
        if value is not None and not (type(value) is int and 0 <= value <= MAX_BUDGET_PIXELS):
            return f"{name} is {one_line(value, 60)}"
    for name in ("image_mean", "image_std"):
        values = settings.get(name)
        if values and not (isinstance(values, list) and len(values) == 3 and all(map(_is_channel, values))):
            return f"{name} is {one_line(values, 60)}"
    return None


def _is_channel(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
