"""Stop checks on the device compared with those of the host."""

import pytest
import torch

from texlens.inference.engine.slot_state import ACTIVE, LOOPED, SlotState
from texlens.metrics.repetition import ends_in_loop


def statuses(tokens, *, limit=500, guard=True):
    """The status after each token, until the row is done."""
    state, slot = SlotState(1, 1, torch.device("cpu")), torch.tensor([0])
    state.join(slot, torch.zeros(1, 1, dtype=torch.int32), limit=torch.tensor([limit], dtype=torch.int32))
    state.guard[0] = guard
    results = []
    for token in tokens:
        results.append(int(state.take(slot, torch.tensor([token]), torch.tensor([99]), decoded=True)))
        if results[-1] != ACTIVE:
            break
    return results


@pytest.mark.parametrize("cycle", [1, 2, 3, 5, 7, 8, 9])
def test_repetition_ends_a_row_where_the_host_would(cycle):
    tokens = [50, 51, *list(range(cycle)) * 20][:120]
    expected = next((count for count in range(1, len(tokens) + 1) if ends_in_loop(tokens[:count])), None)
    results = statuses(tokens)

    assert (results[-1] == LOOPED) == (expected is not None)
    assert len(results) == (expected or len(tokens))
