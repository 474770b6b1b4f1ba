import io

import numpy as np
import pytest
from PIL import Image

from texlens.synthesis import STYLES, RowRecipe, SampleGenerator


def picture(row) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(row.image)).convert("L"), int)


@pytest.mark.parametrize("style", STYLES)
def test_a_row_records_how_it_was_made_and_has_ink_off_its_edges(style):
    generator = SampleGenerator(RowRecipe(style, max_tokens=20))
    for number in range(12):
        row = generator.make(number)
        columns = row.columns
        origin = columns["style"], columns["formulas"], columns["seed"], columns["number"]
        assert origin == (style, "grammar", 0, number)
        assert columns["ink"].startswith("#")
        assert "font" in columns or "writer" in columns
        assert 3 <= len(row.label.split()) <= 20
        gray = picture(row)
        assert np.ptp(gray) > 60
        sample = row.sample()
        assert (sample.domain, sample.text, sample.image.size) == (style, row.label, gray.shape[::-1])
