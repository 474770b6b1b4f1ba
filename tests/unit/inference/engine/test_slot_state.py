"""Stop checks on the device compared with those of the host."""

import pytest

from tests.unit.inference.engine.decoded import statuses
from texlens.inference.engine.slot_state import LOOPED
from texlens.metrics.repetition import ends_in_loop


@pytest.mark.parametrize("cycle", [1, 2, 3, 5, 7, 8, 9])
def test_repetition_ends_a_row_where_the_host_would(cycle):
    tokens = [50, 51, *list(range(cycle)) * 20][:120]
    expected = next((count for count in range(1, len(tokens) + 1) if ends_in_loop(tokens[:count])), None)
    results = statuses(tokens)

    assert (results[-1] == LOOPED) == (expected is not None)
    assert len(results) == (expected or len(tokens))
