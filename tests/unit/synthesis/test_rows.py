import pytest

from texlens.synthesis import STYLES, RowRecipe, SampleGenerator


@pytest.mark.parametrize("style", STYLES)
def test_a_row_depends_on_the_seed_and_its_number_alone(style):
    first, second = SampleGenerator(RowRecipe(style, seed=3)), SampleGenerator(RowRecipe(style, seed=3))
    second.make(0)

    assert first.make(5) == second.make(5)
    assert first.make(5).image != SampleGenerator(RowRecipe(style, seed=4)).make(5).image
