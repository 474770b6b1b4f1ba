"""Results of a step."""

import torch

from texlens.inference.engine.slot_state import ACTIVE, ENDED, FULL, SlotState


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


def test_end_and_limit():
    assert statuses([1, 2, 99, 3]) == [ACTIVE, ACTIVE, ENDED]
    assert statuses([1, 2, 3, 4], limit=3) == [ACTIVE, ACTIVE, FULL]
    assert statuses([7] * 60, guard=False)[-1] == ACTIVE
