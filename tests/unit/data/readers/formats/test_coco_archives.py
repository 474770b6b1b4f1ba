"""COCO captions as a folder, and as the archives that the hubs hold."""

import json
import zipfile

import pytest
from PIL import Image

from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers.registry import list_splits


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_coco(folder, name="train2014"):
    (folder / name).mkdir(parents=True)
    (folder / "annotations").mkdir()
    images = [{"id": number, "file_name": f"COCO_{number}.jpg"} for number in (3, 5)]
    for image in images:
        Image.new("RGB", (20, 10), "teal").save(folder / name / image["file_name"])
    captions = [
        {"image_id": 3, "caption": "One."},
        {"image_id": 3, "caption": "Two."},
        {"image_id": 5, "caption": "X."},
    ]
    content = {"images": images, "annotations": captions}
    (folder / f"annotations/captions_{name}.json").write_text(json.dumps(content))
    return folder


def zipped(folder, archive):
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(folder.parent))


def hub_layout(tmp_path):
    """`train2014.zip` and `annotations_trainval2014.zip` side by side, as on ModelScope and COCO's own site."""
    source, hub = write_coco(tmp_path / "source"), tmp_path / "hub"
    hub.mkdir()
    zipped(source / "train2014", hub / "train2014.zip")
    zipped(source / "annotations", hub / "annotations_trainval2014.zip")
    (hub / "coco_2014_caption.py").write_text("raise SystemExit('never run')")
    return hub


@pytest.mark.parametrize("layout", [lambda path: write_coco(path / "coco"), hub_layout])
def test_every_caption_of_an_image_is_an_accepted_answer(layout, tmp_path):
    folder = layout(tmp_path)
    assert list_splits(str(folder)) == ["train"]
    rows = load_split(str(folder))
    assert [row.answers for row in rows] == [("One.", "Two."), ("X.",)]
    assert [row.image.size for row in rows] == [(20, 10), (20, 10)]


def test_images_in_an_archive_beside_the_annotations_are_found(tmp_path):
    folder = write_coco(tmp_path / "coco")
    zipped(folder / "train2014", folder / "train2014.zip")
    for image in (folder / "train2014").iterdir():
        image.unlink()
    (folder / "train2014").rmdir()
    assert load_split(str(folder))[0].image.size == (20, 10)


def test_a_loading_script_alone_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "coco_2014_caption.py").write_text("raise SystemExit('never run')")
    with pytest.raises(DataError, match=r"a loading script \(coco_2014_caption.py\), which is never run, and no rows"):
        load_split(str(tmp_path))
