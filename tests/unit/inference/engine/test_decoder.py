"""The engine's decoder against the stock generation."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.inference.engine.conftest import engine_of, prompts_of, states_of, stock
from tests.unit.inference.engine.decoded import assert_equal


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_rows_equal_the_stock_generation(family, samples):
    model, processor = tiny_model(family)
    states = states_of(len(samples))

    engine = engine_of(model, processor, slots=8)
    engine.add(prompts_of(processor, samples), states)
    engine.finish()

    assert_equal(states, [stock(model, processor, sample) for sample in samples])
    assert len({tuple(state.tokens) for state in states}) > 1
