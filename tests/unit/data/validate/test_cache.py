from functools import partial

import pytest
from PIL import ImageOps

from tests.unit.data.pictures import encoded, png
from tests.unit.data.tables import write_parquet
from tests.unit.data.validate.test_image_stats import formula
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.validate.run import Options, Validation, validate

GEOMETRY = ImageGeometry(16, 2, 2, 1_024, 100_000)
OPTIONS = Options(GEOMETRY, special_tokens=("<|im_end|>",))
IMAGES = {
    "good": encoded(formula()),
    "again": encoded(formula().convert("RGB"), "BMP"),
    "no image": b"no",
    "cut": png(200, 100)[:900],
    "ribbon": png(805, 4),
    "inverted": encoded(ImageOps.invert(formula("y^3"))),
    "empty": png(seed=1),
    "unknown": png(seed=2),
    "copy": png(seed=2),
}
TEXTS = ["x ^ 2", "x^{2}", "a", "a ^ 1", "b ^ 2", "y ^ 3", " ", r"\nosuch", "c ^ 2"]


@pytest.fixture
def folder(tmp_path):
    """Each row of train has the fault it is named for; test's first row is train's first."""
    write_parquet(tmp_path / "rows" / "train.parquet", TEXTS, list(IMAGES.values()))
    write_parquet(
        tmp_path / "rows" / "test.parquet", ["x ^ 2", "q ^ 9", "y^3"], [IMAGES["good"], png(seed=8), png(seed=9)]
    )
    return tmp_path / "rows"


def inspect_rows(folder, **options) -> Validation:
    return validate({name: load_split(str(folder), split=name) for name in ("train", "test")}, OPTIONS, **options)


def kinds_of(validation: Validation) -> set[tuple[str, int, str]]:
    return {(finding.split, finding.row, finding.kind) for finding in validation.findings}


EXPECTED = {
    ("train", 1, "duplicate-row"),
    ("train", 2, "unreadable-image"),
    ("train", 3, "damaged-image"),
    ("train", 4, "aspect-ratio"),
    ("train", 4, "small-image"),
    ("train", 5, "inverted"),
    ("train", 6, "empty-answer"),
    ("train", 7, "latex-parse"),
    ("train", 7, "two-labels"),
    ("train", 8, "two-labels"),
    ("test", 0, "image-leak"),
    ("test", 0, "label-leak"),
    ("test", 2, "label-leak"),
}


def test_a_second_run_decodes_nothing(folder, monkeypatch):
    inspect_rows(folder)
    monkeypatch.setattr(
        "texlens.data.validate.scan.examine", lambda job: pytest.fail("looked again") if any(job[:2]) else ([], [])
    )
    assert kinds_of(inspect_rows(folder)) == EXPECTED


def test_a_damaged_cache_is_created_again(folder, tmp_path):
    inspect_rows(folder)
    for file in (entry for entry in (tmp_path / "cache").iterdir() if entry.is_file()):
        file.write_bytes(b"this is no database" * 300)
    assert kinds_of(inspect_rows(folder)) == EXPECTED


def test_a_cache_that_can_not_be_written_is_reported_and_gone_without(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "file" / "cache"))
    validation = inspect_rows(folder)
    assert kinds_of(validation) == EXPECTED
    assert "set TEXLENS_CACHE" in validation.fault


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "train.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "<img>a.png</img>"}, {"role": "assistant", "content": "x"}]}\n'
    )
    perceptual_hash = partial(validate, options=OPTIONS)
    assert perceptual_hash({"train": load_split(str(tmp_path / "train.jsonl"))}).counts == {"unreadable-image": 1}
    (tmp_path / "a.png").write_bytes(IMAGES["good"])
    assert perceptual_hash({"train": load_split(str(tmp_path / "train.jsonl"))}).counts == {}
    (tmp_path / "a.png").unlink()
    lost = perceptual_hash({"train": load_split(str(tmp_path / "train.jsonl"))})
    assert [finding.reason for finding in lost.findings] == ["no such file"]
