import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from tests.unit.data.pictures import encoded
from tests.unit.data.tables import write_parquet
from texlens.augment import FormulaTransform
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.inputs.dataset import ExampleDataset
from texlens.latex.layout.formula import layout
from texlens.latex.render.raster import draw

NONE = dict.fromkeys(FormulaTransform.__dataclass_fields__, 0) | {"probability": 1.0}
STEPS = [name for name in FormulaTransform.__dataclass_fields__ if name != "probability"]


def formula(
    padding: float = 4.0, text: str = r"\frac { a + b } { \sqrt { x } } = \sum _ { n } y ^ { n }"
) -> Image.Image:
    return draw(layout(text), 20, padding=padding).convert("RGB")


def contrast_and_ink(image: Image.Image) -> tuple[float, int]:
    """Levels from paper to ink, and pixels nearer to the ink than to the paper."""
    gray = np.asarray(image.convert("L"), float)
    paper, ink = np.median(gray), np.percentile(gray, 2)
    return paper - ink, int((gray < (paper + ink) / 2).sum())


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
