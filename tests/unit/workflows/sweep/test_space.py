import pytest

from texlens.core.errors import ConfigError
from texlens.workflows.sweep.space import Choices, NumberRange, as_setting, parse_over, parse_space


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("adapter.rank=8,16,32", (8, 16, 32)),
        ("adapter.targets=[q_proj],[q_proj, v_proj]", (["q_proj"], ["q_proj", "v_proj"])),
        ("train.optimizer.schedule=cosine,linear", ("cosine", "linear")),
        ("data.prompt='a, b',c", ("a, b", "c")),
        ("adapter.rslora=true,false", (True, False)),
    ],
)
def test_choices_are_read_as_yaml(text, values):
    assert parse_over(text) == Choices(text.partition("=")[0], values)


def test_ranges_of_wide_positive_numbers_are_logarithmic():
    assert parse_over("a=1e-5..3e-4") == NumberRange("a", 1e-5, 3e-4, log=True, whole=False)
    assert parse_over("a=0..0.1") == NumberRange("a", 0.0, 0.1, log=False, whole=False)
    assert parse_over("a=1..4") == NumberRange("a", 1.0, 4.0, log=False, whole=True)


def test_a_range_is_even_over_its_places():
    log = parse_over("a=1e-5..1e-3")
    assert (log.at(0.0), log.at(0.5)) == (1e-05, 0.0001)
    whole = parse_over("a=1..4")
    assert [whole.at(position) for position in (0.0, 0.25, 0.5, 0.75, 0.999)] == [1, 2, 3, 4, 4]
    assert [Choices("a", (1, 2)).at(position) for position in (0.0, 0.49, 0.5, 0.99)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adapter.rank", "write it as key=8,16,32"),
        ("adapter.rank=8", "one value is no choice"),
        ("a=3..1", "from a smaller number to a larger"),
        ("a=1e..2", "the ends of a range are numbers"),
    ],
)
def test_what_is_no_space_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_over(text)


def test_nothing_to_vary_and_a_key_twice_are_refused():
    with pytest.raises(ConfigError, match="--over is missing"):
        parse_space([])
    with pytest.raises(ConfigError, match="a: given twice"):
        parse_space(["a=1,2", "a=3,4"])


def test_a_setting_is_json():
    assert as_setting("data.prompt", "图: x") == 'data.prompt="图: x"'
