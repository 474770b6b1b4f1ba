import pytest
from torch import nn

from texlens.models.weight_rows.rows import no_rows, parameter_owner


def test_placeholder_of_a_whole_model_is_an_error():
    with pytest.raises(AssertionError, match="q_proj is a placeholder"):
        no_rows("q_proj", slice(None))


def test_owner_of_a_parameter_is_its_module():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 3)))
    owner, leaf = parameter_owner(model, "1.0.bias")
    assert getattr(owner, leaf) is model[1][0].bias
