"""Images changed so that what they say stays the same.

For training rows: `build_transform(settings)` gives what `ExampleDataset` takes as `transform`; the image keeps its
size, so every length planned from headers holds. For making data: `degrade` and the canvases of LaTeX_OCR.
"""

from texlens.augment.build import build_transform
from texlens.augment.canvas import BUCKETS, bucket_pad, ink_box, tight_pad
from texlens.augment.degradation import MILD, Degradation, degrade
from texlens.augment.formula import FormulaTransform
from texlens.augment.photo import PhotoTransform

__all__ = [
    "BUCKETS",
    "MILD",
    "Degradation",
    "FormulaTransform",
    "PhotoTransform",
    "bucket_pad",
    "build_transform",
    "degrade",
    "ink_box",
    "tight_pad",
]
