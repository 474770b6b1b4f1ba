import io
import json
import re

from rich.console import Console

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from tests.unit.data.pictures import png
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import LazyImage, Sample
from texlens.inputs.token_view import examples_json, print_examples

GEOMETRY = ImageGeometry(16, 2, 2, 65_536, 1_000_000)
GOOD = Sample("train-0", LazyImage.from_bytes(png(200, 50), "train.parquet row 0"), "x^2")
BAD = Sample("train-1", LazyImage.from_bytes(b"no", "train.parquet row 1"), "y")


def shown(samples, **options) -> str:
    options.setdefault("rows", range(len(samples)))
    console = Console(
        file=io.StringIO(), width=120, color_system="truecolor", force_terminal=True, legacy_windows=False
    )
    print_examples(console, samples, tiny_tokenizer(), GEOMETRY, prompt="Read [bold]", **options)
    return console.file.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_sizes_budget_and_counts_are_reported():
    text = plain(shown([GOOD]))
    assert "pixel budget 65,536 to 1,000,000 · a token is 32x32 pixels" in text
    assert "image 200x50, resized to 512x128, 65,536 pixels → 8x32 patches → 64 image tokens" in text
    assert "4 trained on" in text
    assert "<|image_pad|>×64" in text
    assert "Read [bold]" in text


def test_trained_tokens_are_green_and_the_prompt_is_dim():
    text = shown([GOOD])
    assert "\x1b[1;32mx^2<|im_end|>" in text
    assert "\x1b[2m<|im_start|>user" in text
    assert "\x1b[36m<|image_pad|>×64" in text


def test_a_chinese_question_is_whole_though_its_characters_are_several_tokens():
    created = examples_json([GOOD], tiny_tokenizer(), GEOMETRY, prompt="请识别公式", rows=[0])["examples"][0]
    assert "请识别公式" in "".join(part["text"] for part in created["conversation"])


def test_a_row_that_is_rejected_says_why():
    assert "rejected: train.parquet row 1: not a readable image" in plain(shown([BAD]))


def test_only_as_many_rows_as_asked_for():
    assert plain(shown([GOOD, BAD], rows=[0])).count("train.parquet row") == 1


def test_json_holds_the_same():
    created = examples_json([GOOD, BAD], tiny_tokenizer(), GEOMETRY, prompt="Read", rows=[0, 1])
    assert json.loads(json.dumps(created))["pixel_budget"] == {"min": 65_536, "max": 1_000_000}
    example, rejected = created["examples"]
    assert (example["image_size"], example["resized"], example["grid"]) == ((200, 50), (512, 128), (1, 8, 32))
    assert [run["token"] for run in example["tokens"] if run["label"] is not None] == ["x", "^", "2", "<|im_end|>"]
    assert sum(run["count"] for run in example["tokens"]) == example["prompt_tokens"] + example["answer_tokens"]
    assert "".join(part["text"] for part in example["conversation"] if part["style"] == "trained") == "x^2<|im_end|>"
    assert rejected["error"].startswith("train.parquet row 1")


def test_one_row_can_be_shown_without_its_tokens():
    text = plain(shown([BAD, GOOD], rows=[1], tokens=False))
    assert "train-1" not in text
    assert "x^2<|im_end|>" in text
    assert "label" not in text


def test_terminal_escapes_in_a_row_are_shown_escaped():
    row = Sample("a", LazyImage.from_bytes(png(200, 50), "r\x1b[31m"), "x\x1b]8;;http://x\x07")
    text = plain(shown([row]))
    assert "\x1b" not in text
    assert "x\\x1b]8;;http://x\\x07" in text
