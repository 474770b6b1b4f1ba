import pytest

from texlens.config.yaml_file import MAX_BYTES, parse_yaml, read_yaml
from texlens.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("401_408", 401_408),
        ("010", 10),
        ("0x10", 16),
        ("1:30", "1:30"),
        ("on", "on"),
        ("no", "no"),
        ("true", True),
        ("2026-11-30", "2026-11-30"),
        ("~", None),
        ("", None),
        ("-.5", -0.5),
        (".inf", float("inf")),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert parse_yaml(text, "x") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "x line 2: 'a' is set twice"),
        ("? [a]\n: b", "x line 1: a key must be a word"),
        ("? {a: b}\n: c", "x line 1: a key must be a word"),
        ("a: !!int x", "x: a value can't be read"),
        ("a: !!timestamp x", "x: a value can't be read"),
        ("a: !!python/object:os.system x", "x line 1: not valid YAML"),
        ("a: " + "9" * 5000, "x: a value can't be read"),
        ("a: " + "[" * 20_000, "x: nested too deeply"),
        ("a:\n\tb: 1", "x line 2: not valid YAML"),
        ("a: {b", "not valid YAML"),
        ("\x1b[31m: 1", "x: not valid YAML"),
    ],
)
def test_oddities_are_refused_in_one_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "x")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_file_that_is_too_large_is_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="1,000,001 bytes"):
        read_yaml(path)
