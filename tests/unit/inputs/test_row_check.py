import pytest
from PIL import Image

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from tests.unit.data.pictures import encoded, png
from tests.unit.data.tables import write_parquet
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.row_check import check_rows

GEOMETRY = ImageGeometry(16, 2, 2, 1_024, 100_000)
TEXTS = ["x", "y", " ", None, "z", "w", "a <|im_end|>"]


@pytest.fixture
def file(tmp_path):
    """Row 0 is good; then no image, two empty answers, a ribbon, a truncated image, a special token."""
    images = [png(), b"no", png(), png(), png(805, 4), png(200, 100)[:900], png()]
    return write_parquet(tmp_path / "train.parquet", TEXTS, images)


def test_headers_show_all_but_truncation_and_every_row_is_accounted_for(file):
    checked = check_rows(load_split(file), GEOMETRY)
    assert checked.usable.texts() == ["x", "w", "a <|im_end|>"]
    statistics = checked.statistics()
    assert statistics["rows"] == 7 == statistics["kept"] + sum(statistics["rejected"].values())
    assert statistics["rejected"] == {"unreadable image": 1, "empty answer": 2, "aspect ratio": 1}
    assert statistics["image_tokens"] == 2 + 18 + 2


def test_every_refusal_names_file_row_reason_and_remedy(file):
    rejected = check_rows(load_split(file), GEOMETRY, tiny_tokenizer(), decode=True).rejected
    assert [rejected_row.id for rejected_row in rejected] == [f"train-{row}" for row in range(1, 7)]
    reasons = [str(rejected_row).removeprefix(f"{file} ") for rejected_row in rejected]
    assert reasons[0] == "row 1: not a readable image (cannot identify image file); replace or remove it"
    assert reasons[1] == "row 2: 0 answer tokens; is 'text' empty? fill it or remove the row"
    assert reasons[2] == "row 3: 0 answer tokens; is 'text' empty? fill it or remove the row"
    assert reasons[3] == "row 4: 805x4 pixels: the long side is over 200 times the short one; pad or crop it"
    assert reasons[4].startswith("row 5: the image is damaged (")
    assert reasons[5].startswith("row 6: the answer holds the special token <|im_end|>; rewrite it")


def test_strict_stops_with_the_first_row_and_the_count(file):
    with pytest.raises(DataError, match=r"row 1: not a readable image .*\(4 of 7 rows can't be used; fix them"):
        check_rows(load_split(file), GEOMETRY, strict=True)


def test_rows_that_could_not_be_read_are_in_the_account(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n")
    checked = check_rows(load_split(tmp_path / "rows.jsonl"), GEOMETRY)
    assert (checked.statistics()["rows"], checked.statistics()["rejected"]) == (1, {"row form": 1})


@pytest.mark.parametrize("decode", [False, True])
def test_progress_comes_to_its_end(tmp_path, decode):
    rows = load_split(write_parquet(tmp_path / "train.parquet", ["x"] * 70))
    progress = []
    check_rows(rows, GEOMETRY, decode=decode, on_progress=lambda done, total: progress.append((done, total)))
    assert progress == [(64, 70), (70, 70)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "<image> and <image>"}, "1 images for 2 <image> placeholders"),
        ({"history": [["Q1", ""]], "prompt": "Q2"}, "0 answer tokens in an earlier answer"),
    ],
)
def test_a_row_that_no_example_can_be_built_of_is_rejected_beforehand(tmp_path, row, reason):
    write_parquet(tmp_path / "train.parquet", ["x"], **{name: [value] for name, value in row.items()})
    checked = check_rows(load_split(tmp_path / "train.parquet"), GEOMETRY)
    assert len(checked.usable) == 0
    assert reason in checked.rejected[0].reason


def test_placeholders_of_the_runs_prompt_count_too(tmp_path):
    rows = load_split(write_parquet(tmp_path / "train.parquet", ["x"]))
    checked = check_rows(rows, GEOMETRY, style=PromptStyle("<image> or <image>?"))
    assert [row.kind for row in checked.rejected] == ["turns"]


def ink_on_glass(level: int) -> bytes:
    """A square of ink on transparent ground."""
    image = Image.new("RGBA", (64, 32), (level, level, level, 0))
    image.paste((level, level, level, 255), (8, 8, 24, 24))
    return encoded(image)


def test_white_ink_on_transparent_ground_is_put_on_black_and_counted(tmp_path):
    images = [ink_on_glass(255), ink_on_glass(0), png()]
    rows = load_split(write_parquet(tmp_path / "train.parquet", ["x", "y", "z"], images))
    assert check_rows(rows, GEOMETRY, decode=True).statistics()["transparent_images"] == {"on black": 1, "on white": 1}
    assert check_rows(rows, GEOMETRY).statistics()["transparent_images"] == {"not decoded": 2}
