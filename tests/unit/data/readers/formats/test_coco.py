"""COCO annotations: captions and instances."""

import json

from tests.unit.data.readers.formats.files import image, read
from texlens.data.load import load_split
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.registry import list_splits, open_source

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
