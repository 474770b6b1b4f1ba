import numpy as np
import pytest
from PIL import Image

from texlens.augment import PhotoTransform

NONE = dict.fromkeys(PhotoTransform.__dataclass_fields__, 0) | {"probability": 1.0}


def halves() -> Image.Image:
    """Red on the left, green on the right."""
    image = Image.new("RGB", (64, 48), (200, 30, 30))
    image.paste((30, 160, 30), (32, 0, 64, 48))
    return image


@pytest.mark.parametrize(
    ("step", "strength"),
    [("brightness", 0.3), ("contrast", 0.4), ("saturation", 0.5), ("hue_degrees", 40), ("blur_px", 2), ("noise", 20),
     ("jpeg_quality", 20)],
)  # fmt: skip
def test_each_color_change_alone_is_seen(step, strength):
    changed = PhotoTransform(**NONE | {step: strength})(halves(), np.random.default_rng(1))
    assert changed.size == (64, 48)
    assert changed.tobytes() != halves().tobytes()
