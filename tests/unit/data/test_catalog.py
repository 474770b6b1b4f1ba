"""Each data set's layout, as its hub or publisher distributes it, in small: what its command names can be read."""

import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.data.catalog import CATALOG
from texlens.data.load import load_split
from texlens.data.readers.registry import list_splits

INKML = """<ink xmlns="http://www.w3.org/2003/InkML"><annotation type="truth">$x$</annotation>
<trace id="0">0 0, 10 10</trace><trace id="1">10 0, 0 10</trace></ink>"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def latex_ocr(folder, subset):
    for split in ("train", "validation", "test"):
        (folder / subset).mkdir(parents=True, exist_ok=True)
        write_parquet(folder / subset / f"{split}-00000-of-00001.parquet", ["x"])
    return folder, {"train", "validation", "test"}, subset


def hub_table(folder, column, splits):
    """`image` and the label's column, in `data/`, with the splits in the README's front matter."""
    image = pa.array([{"bytes": png(20, 10), "path": None}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    (folder / "data").mkdir(parents=True)
    entries = []
    for split in splits:
        name = f"data/{split}-00000-of-00001-0123456789abcdef.parquet"
        pq.write_table(pa.table({"image": image, column: ["x"]}), folder / name)
        entries.append(f"  - split: {split}\n    path: data/{split}-*\n")
    head = f"configs:\n- config_name: default\n  data_files:\n{''.join(entries)}"
    (folder / "README.md").write_text(f"---\n{head}---\nA page.\n")
    return folder, set(splits), None


def zipped_lists(folder, lists):
    folder.mkdir()
    with zipfile.ZipFile(folder / "set.zip", "w") as file:
        for labels, images in lists.items():
            file.writestr(f"set/{labels}", "x\n")
            file.writestr(f"set/{images}/0000000.png", png(20, 10))
    return folder / "set.zip", {labels.removesuffix(".txt") for labels in lists}, None


def hme100k(folder):
    for split in ("train", "test"):
        (folder / split / f"{split}_images").mkdir(parents=True)
        (folder / split / f"{split}_images/{split}_0.jpg").write_bytes(png(20, 10))
        (folder / split / f"{split}_labels.txt").write_text(f"{split}_0.jpg\tx\n")
    return folder, {"train", "test"}, None


def crohme(folder):
    (folder / "train").mkdir(parents=True)
    (folder / "train/a.inkml").write_text(INKML)
    return folder, {"train"}, None


def uni_mumer(folder):
    """A folder a subset, its images and conversations in parquet, named by the README."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    turns = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
    table = {
        "images": pa.array([[{"bytes": png(20, 10), "path": None}]], pa.list_(image)),
        "conversations": pa.array([[{"from": "human", "value": "<image>Read"}, {"from": "gpt", "value": "x"}]], turns),
    }
    (folder / "crohme_train").mkdir(parents=True)
    pq.write_table(pa.table(table), folder / "crohme_train/0000.parquet")
    head = "configs:\n- config_name: crohme_train\n  data_files:\n  - split: train\n    path: crohme_train/*.parquet\n"
    (folder / "README.md").write_text(f"---\n{head}---\n")
    return folder, {"train"}, "crohme_train"


def coco(folder):
    (folder / "annotations").mkdir(parents=True)
    (folder / "train2014").mkdir()
    (folder / "train2014/COCO_1.jpg").write_bytes(png(20, 10))
    content = {"images": [{"id": 1, "file_name": "COCO_1.jpg"}], "annotations": [{"image_id": 1, "caption": "x"}]}
    (folder / "annotations/captions_train2014.json").write_text(json.dumps(content))
    return folder, {"train"}, None


LAYOUTS = {
    "LaTeX_OCR small": lambda folder: latex_ocr(folder, "small"),
    "LaTeX_OCR full": lambda folder: latex_ocr(folder, "full"),
    "LaTeX_OCR synthetic_handwrite": lambda folder: latex_ocr(folder, "synthetic_handwrite"),
    "LaTeX_OCR human_handwrite": lambda folder: latex_ocr(folder, "human_handwrite"),
    "LaTeX_OCR human_handwrite_print": lambda folder: latex_ocr(folder, "human_handwrite_print"),
    "UniMER-1M": lambda folder: zipped_lists(folder, {"train.txt": "images"}),
    "UniMER-Test": lambda folder: zipped_lists(folder, {f"{part}.txt": part for part in ("spe", "cpe", "sce", "hwe")}),
    "MathWriting (human)": lambda folder: hub_table(folder, "latex", ("train", "test", "val")),
    "im2latex-100k": lambda folder: hub_table(folder, "formula", ("train", "test", "val")),
    "CROHME": crohme,
    "HME100K": hme100k,
    "Uni-MuMER-Data": uni_mumer,
    "COCO captions 2014": coco,
}


def test_every_data_set_has_a_layout_below():
    assert set(LAYOUTS) == {entry.name for entry in CATALOG}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_data_set_in_its_own_layout_is_read(name, tmp_path):
    path, splits, subset = LAYOUTS[name](tmp_path / "set")
    from texlens.data.readers.protocol import ReadOptions

    assert set(list_splits(str(path), options=ReadOptions(subset))) == splits
    rows = load_split(str(path), split=sorted(splits)[0], subset=subset)
    assert rows.rejected == []
    assert [row.text for row in rows] == ["x"]
    assert rows[0].image.size[0] > 0


NO_LICENSE_STATED = {"im2latex-100k", "HME100K"}
"""Their pages were read and name none."""


def test_every_entry_says_where_how_large_and_how_to_get_it():
    for entry in CATALOG:
        assert entry.command.startswith(("texlens data import ", "texlens data convert "))
        assert entry.rows
        assert entry.sources or entry.unverified, entry.name
        assert entry.license or "license" in entry.unverified or entry.name in NO_LICENSE_STATED, entry.name
        assert entry.huggingface or entry.modelscope or "archive" in entry.defects or "publisher" in entry.defects
