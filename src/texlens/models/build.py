"""From the run file's `model:` to a checkpoint's folder, its processor, and its weights."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from texlens.config.model import ModelSettings
from texlens.config.quantize import QuantizeSettings
from texlens.data.geometry import Resize
from texlens.models.checkpoint import check_checkpoint, fingerprint
from texlens.models.device import choose_device, choose_dtype
from texlens.models.download import fetch
from texlens.models.families import Family
from texlens.models.load import load_model
from texlens.models.processor import Processor, load_processor
from texlens.models.quantized import check_quantize
from texlens.models.sharding.layer_placement import placement_of


@dataclass(frozen=True)
class BaseCheckpoint:
    """A complete local checkpoint with its processor; no weights are loaded yet."""

    path: str
    folder: Path
    fingerprint: str
    processor: Processor


def build_base(
    settings: ModelSettings,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    resize: Resize | None = None,
) -> BaseCheckpoint:
    """Finds (or downloads) and checks the checkpoint; pixel budget and resizing given here override the settings.

    Raises:
        ModelError: not found, damaged, of an unknown family, or the disk is full.
    """
    folder = fetch(settings.path, source=settings.source, revision=settings.revision)
    check_checkpoint(folder)
    processor = load_processor(
        folder,
        min_pixels=min_pixels or settings.min_pixels,
        max_pixels=max_pixels or settings.max_pixels,
        resize=resize or settings.resize,
    )
    return BaseCheckpoint(settings.path, folder, fingerprint(folder), processor)


def check_base(family: Family, settings: ModelSettings, quantize: QuantizeSettings) -> None:
    """
    Raises:
        ConfigError: this base can't be quantized so on this device.
    """
    device = choose_device(settings.device)
    check_quantize(quantize, family, device, choose_dtype(settings.dtype, device))


def build_model(
    base: BaseCheckpoint,
    settings: ModelSettings,
    quantize: QuantizeSettings | None = None,
    *,
    spread: bool = False,
) -> PreTrainedModel:
    """
    Args:
        spread: layers may be on several GPUs if the weights do not fit on one, for reading.

    Raises:
        ConfigError: this base can't be quantized so on this device, or does not fit.
    """
    if quantize:
        check_base(base.processor.family, settings, quantize)
    placement, device = None, choose_device(settings.device)
    if spread and settings.device == "auto":
        how = quantize.quantize if quantize else "none"
        placement = placement_of(base.folder, device, choose_dtype(settings.dtype, device).itemsize, how)
    return load_model(
        base.folder,
        device=settings.device,
        dtype=settings.dtype,
        attention=settings.attention,
        trust_remote_code=settings.trust_remote_code,
        quantize=quantize,
        placement=placement,
    )
