import torch

from texlens.models.weight_rows.placeholders import is_placeholder, placeholder


def test_placeholder_takes_no_memory():
    parameter = placeholder((4096, 4096), torch.bfloat16, torch.device("cpu"))
    assert is_placeholder(parameter)
    assert parameter.untyped_storage().nbytes() == 2
    assert not is_placeholder(torch.zeros(4, 4))
