import pytest

from texlens.config.load import build_config
from texlens.core.errors import ConfigError

MINIMAL = {"model": {"path": "nano"}, "data": {"path": "demo"}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"adapter": {"rnk": 4}}, "x.yaml: unknown key 'adapter.rnk'; did you mean 'adapter.rank'?"),
        ({"learning_rate": 1}, "x.yaml: unknown key 'learning_rate'; did you mean 'train.optimizer.learning_rate'?"),
        ({"evaluate": {"q": 1}}, "x.yaml: unknown key 'evaluate.q'; known keys here: batch_size, clean, fraction,"),
        ({"evaluate": {"batch_size": 0}}, "'evaluate.batch_size': input should be greater than or equal to 1 (got 0)"),
        ({"model": {}}, "'model.path' is missing; add it, or give --set model.path=…"),
        ({"adapter": {"rank": 0, "alpha": 0}}, "(and 1 more)"),
    ],
)
def test_first_problem_is_explained_in_one_line(values, message):
    with pytest.raises(ConfigError) as caught:
        build_config({**MINIMAL, **values}, where="x.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_control_characters_of_a_value_are_escaped():
    with pytest.raises(ConfigError) as caught:
        build_config({**MINIMAL, "name": "\x1b[31m"})
    assert "\x1b" not in str(caught.value)
