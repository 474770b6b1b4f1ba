"""Each format that is not parquet or a conversation, from files as people have them."""

import json
import pickle

import pytest

from tests.unit.data.pictures import png
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers.formats.inkml import draw_strokes
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.registry import find_format, list_splits, open_source


def image(path, width=40, height=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(width, height))
    return path


def read(path, split="train", **options):
    return [
        (row.id, row.text, row.prompt, row.image.size, row.extra) for row in load_split(path, split=split, **options)
    ]


def test_flat_json_rows_name_their_image_question_and_answer(tmp_path):
    image(tmp_path / "img/a.png")
    rows = [{"image_path": "img/a.png", "question": "Read", "answer": "x", "level": 3}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert find_format(tmp_path / "rows.json").name == "records"
    assert read(tmp_path / "rows.json") == [("train-0", "x", "Read", (40, 20), {"level": 3})]


def test_lines_in_a_file_called_json_are_read_as_lines(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "rows.json").write_text('{"image": "a.png", "text": "x"}\n{"image": "a.png", "text": ["y", "z"]}\n')
    first, second = load_split(tmp_path / "rows.json")
    assert (first.text, second.answers) == ("x", ("y", "z"))


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv"])
def test_rows_travel_to_workers_that_are_not_forked(tmp_path, ending, monkeypatch):
    monkeypatch.setattr("texlens.data.readers.rows.json_rows.MAX_IN_MEMORY_BYTES", 0)
    image(tmp_path / "a.png")
    texts = {"json": '[{"image": "a.png", "text": "x"}]', "jsonl": '{"image": "a.png", "text": "x"}'}
    (tmp_path / f"rows.{ending}").write_text(texts.get(ending, "image,text\na.png,x\n"))
    rows = pickle.loads(pickle.dumps(load_split(str(tmp_path / f"rows.{ending}"))))
    assert (rows[0].text, rows[0].image.size) == ("x", (40, 20))


def test_images_with_a_text_file_beside_each(tmp_path):
    image(tmp_path / "deep/a.png")
    image(tmp_path / "b.png")
    (tmp_path / "deep/a.txt").write_text("x^2\n")
    assert find_format(tmp_path).name == "images"
    assert read(tmp_path) == [("deep/a", "x^2", None, (40, 20), {})]
    assert [str(rejected_row) for rejected_row in load_split(tmp_path).rejected] == [
        f"{tmp_path} b.png: no b.txt beside it; write its text there"
    ]


def test_a_folder_of_images_with_metadata_in_splits(tmp_path):
    for split in ("train", "test"):
        image(tmp_path / split / "a.png")
        (tmp_path / split / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "text": split}))
    assert list_splits(str(tmp_path)) == ["train", "test"]
    assert read(tmp_path, "test")[0][1] == "test"


def test_a_csv_with_quoted_cells_and_other_columns(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "rows.csv").write_text('image_path,text,level\na.png,"x, ""y""\nz",easy\na.png,w,\n', newline="")
    assert find_format(tmp_path).name == "csv"
    assert read(tmp_path / "rows.csv") == [
        ("train-0", 'x, "y"\nz', None, (40, 20), {"level": "easy"}),
        ("train-1", "w", None, (40, 20), {}),
    ]
    assert load_split(tmp_path / "rows.csv")[1].image.where == f"{tmp_path}/rows.csv line 4 (a.png)"


def test_a_csv_without_the_column_names_those_that_are_near(tmp_path):
    (tmp_path / "rows.csv").write_text("image,latex_code,nr\na.png,x,1\n")
    with pytest.raises(DataError, match=r"no column 'text' .* did you mean latex_code\? it has image, latex_code, nr;"):
        load_split(tmp_path / "rows.csv")
    with pytest.raises(DataError, match=r"no column 'code' .*data convert --text-column"):
        load_split(tmp_path / "rows.csv", text_column="code")
    image(tmp_path / "a.png")
    assert read(tmp_path / "rows.csv", text_column="latex_code")[0][1] == "x"


def test_bad_lines_of_a_csv_are_named_and_the_rest_goes_on(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "rows.csv").write_bytes(b"image,text\na.png,\xe9\na.png,x,y\n,z\n../b.png,w\na.png,v\n")
    rows = load_split(tmp_path / "rows.csv")
    assert rows.texts() == ["v"]
    assert [str(rejected_row).removeprefix(f"{tmp_path}/rows.csv ")[:40] for rejected_row in rows.rejected] == [
        "line 2: byte 7 of line 2 is 0xe9, not UT",
        "line 3: 3 cells for 2 columns; put texts",
        "line 4: no column 'image' for the image;",
        f"line 5: image '../b.png' is outside {tmp_path}"[:40],
    ]


COCO = {
    "info": {"year": 2017},
    "images": [{"id": 9, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}, {"id": 5, "file_name": "../c.jpg"}],
    "annotations": [
        {"image_id": 9, "id": 1, "caption": "A cat."},
        {"image_id": 5, "id": 3, "caption": "A cow."},
        {"image_id": 9, "id": 2, "caption": "The cat "},
    ],
}


def test_coco_captions_are_accepted_answers_of_their_image(tmp_path):
    image(tmp_path / "val2017/a.jpg")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/captions_val2017.json").write_text(json.dumps(COCO))
    assert list_splits(str(tmp_path)) == ["validation"]
    rows = load_split(tmp_path, split="validation")
    assert [(row.id, row.answers, row.image.size) for row in rows] == [("9", ("A cat.", "The cat"), (40, 20))]
    assert [rejected_row.reason[:20] for rejected_row in rows.rejected] == [
        "no caption and no ob",
        "image '../c.jpg' is ",
    ]
    first_caption = open_source(str(tmp_path), "validation", options=ReadOptions(captions="one"))
    assert first_caption.sample(0).answers == ("A cat.",)


def test_coco_instances_give_the_names_of_the_objects(tmp_path):
    image(tmp_path / "a.jpg")
    rows = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 2}, {"image_id": 1, "category_id": 3}],
        "categories": [{"id": 2, "name": "dog"}, {"id": 3, "name": "cat"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(rows))
    assert read(tmp_path / "instances.json") == [("1", "cat, dog", None, (40, 20), {})]


def test_im2latex_lists_in_both_spellings(tmp_path):
    image(tmp_path / "formula_images/a1.png")
    (tmp_path / "im2latex_formulas.lst").write_bytes(b"x\ry\n\\alpha\n\xe9\n")
    (tmp_path / "im2latex_train.lst").write_text("1 a1 basic\n0 a1 basic\n2 a1 basic\n9 a1 basic\n")
    (tmp_path / "im2latex_validate.lst").write_text("a1.png 1\n")
    assert list_splits(str(tmp_path)) == ["train", "validation"]
    assert [row[1] for row in read(tmp_path)] == ["\\alpha", "x\ry"]
    assert read(tmp_path, "validation")[0][:2] == ("a1", "\\alpha")
    reasons = [rejected_row.reason for rejected_row in load_split(tmp_path).rejected]
    assert reasons[0].endswith("formulas.lst line 3: byte 1 is 0xe9, not UTF-8; save the file as UTF-8")
    assert reasons[1] == "formula 9 is not there: im2latex_formulas.lst has 4 lines; download it again"


INKML = """<ink xmlns="http://www.w3.org/2003/InkML">
<annotation type="UI">2011_7</annotation><annotation type="truth">$x ^ 2$</annotation>
<trace id="0">0 0, 50 50</trace><trace id="1">50 0 3, 0 50 4</trace></ink>"""


def test_inkml_is_drawn_and_its_annotation_is_the_label(tmp_path):
    (tmp_path / "a.inkml").write_text(INKML)
    (tmp_path / "b.inkml").write_text("<ink></ink>")
    (tmp_path / "c.inkml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><ink/>')
    (tmp_path / "d.inkml").write_text("<ink")
    assert find_format(tmp_path).name == "inkml"
    assert read(tmp_path) == [("a", "x ^ 2", None, (128, 128), {"ui": "2011_7"})]
    drawn = load_split(tmp_path)[0].image.load()
    assert max(drawn.getpixel((64, 64))) < 32
    assert drawn.getpixel((64, 20)) == (255, 255, 255)
    assert [rejected_row.reason.split(";")[0][:36] for rejected_row in load_split(tmp_path).rejected] == [
        "no annotation of type truth in it",
        "declares entities, which no InkML ne",
        "not XML (unclosed token: line 1, col",
    ]


def test_strokes_keep_their_shape_within_bounds():
    assert draw_strokes([[(0, 0), (10_000, 100)]]).size[0] <= 1536
    assert draw_strokes([[(5, 5)]]).size == (24, 24)
    with pytest.raises(DataError, match="no stroke"):
        draw_strokes([[]])
