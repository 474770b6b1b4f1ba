"""Rows decoded and compared."""

import pytest
import torch

from texlens.inference.engine.slot_state import ACTIVE, SlotState


def assert_equal(states, expected):
    for state, (tokens, log_probabilities) in zip(states, expected, strict=True):
        assert state.tokens == tokens
        assert state.log_probabilities == pytest.approx(log_probabilities, abs=1e-5)


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
