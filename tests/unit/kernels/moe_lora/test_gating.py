"""The router of a layer."""

import torch

from texlens.kernels.moe_lora.gating import Router


def test_experts_are_the_rows_of_the_weight():
    assert Router(torch.empty(4, 8), slice(0, 8), slice(8, 12), 2, None).experts == 4


def test_the_log_does_not_count_in_comparisons():
    weight = torch.empty(4, 8)
    first, second = (Router(weight, slice(0, 8), slice(8, 12), 2, None, log=log) for log in (print, None))
    assert (first.columns, first.rows) == (second.columns, second.rows)
    assert "log" not in [name for name, field in Router.__dataclass_fields__.items() if field.compare]
