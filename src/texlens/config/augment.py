"""`data.augment:` how training images are changed, differently in each epoch; other splits never are."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from texlens.config.base import Settings

Share = Annotated[float, Field(ge=0, le=1)]
_KINDS = ("formula", "photo")
_MIRRORS = ("flip", "mirror", "horizontal_flip", "vertical_flip")


class FormulaAugment(Settings):
    """For formulas: no ink is cut and nothing is mirrored. Each number is the largest change, 0 for none."""

    kind: Literal["formula"] = "formula"
    probability: Share = 0.5
    """Of each step, for each row and epoch."""
    scale: float = Field(0.15, ge=0, le=0.5)
    """Up to so much larger or smaller; larger only where the canvas has room."""
    rotate_degrees: float = Field(2.0, ge=0, le=15)
    shear_degrees: float = Field(4.0, ge=0, le=20)
    shift: Share = 1.0
    """Share of the free canvas that the ink may move through: pads one side and crops the other."""
    stroke_width: Share = 0.5
    """Strokes bolder by up to so many pixels on each side, or thinner by 0.7 of that."""
    background: Share = 0.25
    """Shade and tint of the paper."""
    contrast: float = Field(0.4, ge=0, le=0.8)
    """Ink paler by up to this share."""
    blur_px: float = Field(0.7, ge=0, le=5)
    noise: float = Field(8.0, ge=0, le=60)
    """Deviation in levels of 255."""
    jpeg_quality: int = Field(40, ge=0, le=95)
    """The worst quality; 0 leaves JPEG out."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_mirrored(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and (mirrors := [name for name in _MIRRORS if name in values]):
            raise ValueError(f"{mirrors[0]} mirrors a formula, which is no longer what its label says; take it out")
        return values


class PhotoAugment(Settings):
    """For photographs with captions. Each number is the largest change, 0 for none."""

    kind: Literal["photo"] = "photo"
    probability: Share = 0.5
    """Of each step but `flip`, for each row and epoch."""
    crop: float = Field(0.2, ge=0, le=0.8)
    """Up to this share of both sides is cut away, and the rest scaled to the old size."""
    flip: Share = 0.5
    """The chance to mirror left and right; 0 where captions say left or right, or quote writing."""
    brightness: Share = 0.2
    contrast: Share = 0.2
    saturation: Share = 0.3
    hue_degrees: float = Field(8.0, ge=0, le=180)
    blur_px: float = Field(0.0, ge=0, le=5)
    noise: float = Field(0.0, ge=0, le=60)
    """Deviation in levels of 255."""
    jpeg_quality: int = Field(0, ge=0, le=95)
    """The worst quality; 0 leaves JPEG out."""


AnyAugment = FormulaAugment | PhotoAugment


def augment_named(value: Any) -> Any:
    """`none`, `formula` and `photo` as full settings; a mapping must say its kind.

    Raises:
        ValueError: neither one of these names nor a mapping with a kind.
    """
    if value is None or value == "none" or isinstance(value, AnyAugment):
        return None if value == "none" else value
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, Mapping) or value.get("kind") not in _KINDS:
        raise ValueError("choose none, formula or photo, or give a mapping with kind: formula or kind: photo")
    return value
