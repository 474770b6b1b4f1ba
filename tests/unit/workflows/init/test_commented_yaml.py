import pytest

from texlens.config.yaml_file import parse_yaml
from texlens.workflows.init.choices import ChosenSetting
from texlens.workflows.init.commented_yaml import commented_yaml


def test_each_line_has_its_comment():
    text = commented_yaml(
        "a title", [ChosenSetting("model.path", "nano", "ships with TexLens"), ChosenSetting("name", "x", "a name")]
    )
    assert text == (
        "# a title\nname: x  # a name\nmodel:  # which checkpoint learns\n  path: nano  # ships with TexLens\n"
    )


@pytest.mark.parametrize(
    "value",
    ["null", "true", "12", "1e-4", "a: b", "# no comment", "Qwen/Qwen3-VL-4B-Instruct", "C:\\data", "图片", "a\nb", ""],
)
def test_texts_stay_texts(value):
    assert parse_yaml(commented_yaml("t", [ChosenSetting("data.path", value, "r")]), "t")["data"]["path"] == value


@pytest.mark.parametrize("value", [None, True, 3, 0.0001, 1.5, ["a", "b"], []])
def test_other_values_are_read_back(value):
    assert parse_yaml(commented_yaml("t", [ChosenSetting("name", value, "r")]), "t")["name"] == value


def test_a_reason_of_several_lines_stays_one_comment():
    text = commented_yaml("one\nname: two", [ChosenSetting("name", "x", "first\nmodel: evil")])
    assert parse_yaml(text, "t") == {"name": "x"}
