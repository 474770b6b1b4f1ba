import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torch.utils.data import DataLoader

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from tests.unit.data.pictures import encoded
from tests.unit.data.tables import write_parquet
from texlens.augment import FormulaTransform
from texlens.augment.ink import find_ink
from texlens.augment.placement import Placement, place_ink
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.inputs.dataset import ExampleDataset
from texlens.latex.layout.formula import layout
from texlens.latex.render.raster import draw

NONE = dict.fromkeys(FormulaTransform.__dataclass_fields__, 0) | {"probability": 1.0}
STEPS = [name for name in FormulaTransform.__dataclass_fields__ if name != "probability"]
COLORS = ((255, 0, 0), (0, 150, 0), (0, 0, 255), (0, 0, 0))
strengths = st.floats(-1, 1)


def formula(
    padding: float = 4.0, text: str = r"\frac { a + b } { \sqrt { x } } = \sum _ { n } y ^ { n }"
) -> Image.Image:
    return draw(layout(text), 20, padding=padding).convert("RGB")


def with_four_corners(width: int, height: int, margin: int) -> Image.Image:
    """Ink at the four corners of a canvas, each in a color of its own."""
    image = Image.new("RGB", (width, height), "white")
    right, bottom = width - margin - 10, height - margin - 10
    corners = ((margin, margin), (right, margin), (margin, bottom), (right, bottom))
    for color, (x, y) in zip(COLORS, corners, strict=True):
        image.paste(color, (x, y, x + 10, y + 10))
    return image


def pixels_of(image: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.abs(np.asarray(image, int) - color).max(axis=2) < 60).sum())


def contrast_and_ink(image: Image.Image) -> tuple[float, int]:
    """Levels from paper to ink, and pixels nearer to the ink than to the paper."""
    gray = np.asarray(image.convert("L"), float)
    paper, ink = np.median(gray), np.percentile(gray, 2)
    return paper - ink, int((gray < (paper + ink) / 2).sum())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(40, 300), st.integers(40, 200), st.integers(0, 8),
    strengths, strengths, strengths, st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
def test_no_corner_of_the_ink_is_ever_cut(width, height, margin, scale, turn, shear, across, down):
    image = with_four_corners(width, height, margin)

    placed = place_ink(image, find_ink(image), Placement(1 + 0.4 * scale, 10 * turn, 10 * shear, across, down))

    assert placed.size == image.size
    assert all(pixels_of(placed, color) >= 25 for color in COLORS)
    edge = np.asarray(placed.convert("L").crop((0, 0, width, 1)))
    assert margin < 2 or edge.min() > 180


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_whole_chain_keeps_the_size_and_the_ink(seed):
    image = formula()

    changed = FormulaTransform(probability=1.0)(image, np.random.default_rng(seed))

    assert (changed.size, changed.mode) == (image.size, "RGB")
    contrast, ink = contrast_and_ink(changed)
    assert contrast > 50
    assert 0.5 < ink / contrast_and_ink(image)[1] < 2.5


@pytest.mark.parametrize("step", STEPS)
def test_each_strength_alone_changes_the_image(step):
    image = formula(12)

    changed = FormulaTransform(**NONE | {step: FormulaTransform.__dataclass_fields__[step].default})

    assert changed(image, np.random.default_rng(1)).tobytes() != image.tobytes()


def test_without_strengths_nothing_changes():
    assert FormulaTransform(**NONE)(formula(), np.random.default_rng(1)).tobytes() == formula().tobytes()


def test_white_ink_on_black_stays_white_on_black():
    image = Image.eval(formula(), lambda level: 255 - level)

    changed = FormulaTransform(probability=1.0)(image, np.random.default_rng(3))

    assert np.median(np.asarray(changed)) < 128
    assert np.asarray(changed).max() > np.median(np.asarray(changed)) + 60


def test_a_photographed_formula_has_no_corners_of_one_color_after_a_turn():
    shade = np.linspace(90, 250, 200, dtype=np.uint8)
    image = Image.fromarray(np.broadcast_to(shade, (80, 200)).copy()).convert("RGB")
    ImageDraw.Draw(image).line((60, 40, 140, 40), fill=(10, 10, 10), width=4)

    turned = place_ink(image, find_ink(image), Placement(0.8, 3.0))

    assert not find_ink(image).is_even
    assert np.asarray(turned.convert("L"))[:, 0].max() < 110


def test_a_blank_image_stays_as_it_is():
    blank = Image.new("RGB", (30, 20), "ivory")
    assert FormulaTransform(probability=1.0)(blank, np.random.default_rng(0)) is blank


def test_thin_strokes_are_never_lost_when_the_pen_gets_thinner():
    image = Image.new("RGB", (60, 30), "white")
    ImageDraw.Draw(image).line((5, 15, 55, 15), fill="black", width=1)
    for seed in range(20):
        changed = FormulaTransform(**NONE | {"stroke_width": 1.0})(image, np.random.default_rng(seed))
        assert np.asarray(changed).min() < 128


def test_workers_draw_what_one_process_draws(tmp_path):
    file = write_parquet(tmp_path / "train.parquet", ["a", "b", "c", "d"], [encoded(formula())] * 4)
    data = ExampleDataset(
        load_split(file),
        tiny_tokenizer(),
        ImageGeometry(8, 2, 2, 256, 100_000),
        prompt="Read",
        transform=FormulaTransform(),
        seed=7,
    )
    planned = data.lengths

    loaders = [
        DataLoader(data, batch_size=1, collate_fn=list, num_workers=workers, persistent_workers=workers > 0)
        for workers in (0, 2)
    ]
    transformed = []
    for epoch in (0, 1):
        data.set_epoch(epoch)
        single, shared = ([batch[0].patches for batch in loader] for loader in loaders)
        assert all((image == other).all() for image, other in zip(single, shared, strict=True))
        assert not (single[0] == single[1]).all()
        transformed.append(single[0])
    assert not (transformed[0] == transformed[1]).all()
    assert [len(data[index]) for index in range(4)] == planned
