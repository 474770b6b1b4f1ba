"""Results of a step."""

from tests.unit.inference.engine.decoded import statuses
from texlens.inference.engine.slot_state import ACTIVE, ENDED, FULL


def test_end_and_limit():
    assert statuses([1, 2, 99, 3]) == [ACTIVE, ACTIVE, ENDED]
    assert statuses([1, 2, 3, 4], limit=3) == [ACTIVE, ACTIVE, FULL]
    assert statuses([7] * 60, guard=False)[-1] == ACTIVE
