from functools import partial

import pytest
from PIL import Image, ImageOps

from tests.unit.data.pictures import encoded, png
from tests.unit.data.tables import write_parquet
from tests.unit.data.validate.test_image_stats import formula
from texlens.data.folder.writer import read_folder
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.validate.findings import KINDS
from texlens.data.validate.fix import plan_actions, write_fixed
from texlens.data.validate.run import Options, Validation, validate
from texlens.data.validate.scan import examine

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


def test_every_fault_is_found_and_nothing_else(folder):
    assert kinds_of(inspect_rows(folder)) == EXPECTED


def test_a_finding_names_row_file_reason_remedy_kind_and_severity(folder):
    report = [finding.to_json() for finding in inspect_rows(folder).findings]
    assert report[0] == {
        "kind": "unreadable-image",
        "severity": "error",
        "split": "train",
        "row": 2,
        "id": "train-2",
        "where": f"{folder}/train.parquet row 2",
        "reason": "not a readable image (cannot identify image file)",
        "remedy": "replace or remove the image",
    }
    assert all(finding["remedy"] and finding["kind"] in KINDS for finding in report)


def test_processes_side_by_side_find_the_same(folder):
    done = []
    assert kinds_of(inspect_rows(folder, processes=2, on_progress=done.append)) == EXPECTED
    assert sum(done) == 12


def test_a_second_run_decodes_nothing(folder, monkeypatch):
    inspect_rows(folder)
    monkeypatch.setattr(
        "texlens.data.validate.scan.examine", lambda job: pytest.fail("looked again") if any(job[:2]) else ([], [])
    )
    assert kinds_of(inspect_rows(folder)) == EXPECTED


def test_a_damaged_cache_is_created_again(folder, tmp_path):
    inspect_rows(folder)
    for file in (tmp_path / "cache").iterdir():
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


def test_captions_are_not_judged_as_latex(tmp_path):
    write_parquet(tmp_path / "train.parquet", ["50% of a cat & a dog", "A red bus #3"])
    assert validate({"train": load_split(str(tmp_path / "train.parquet"))}, OPTIONS).counts == {}


def fixed(folder, out, **options):
    validation = inspect_rows(folder)
    splits = {name: load_split(str(folder), split=name) for name in ("train", "test")}
    actions = plan_actions(validation, **options)
    return write_fixed(out, splits, actions, made_by={}, max_aspect=200)


@pytest.mark.parametrize(
    ("leaks", "rows_kept", "rejected", "merged"), [("keep", 6, 5, 1), ("to-train", 5, 5, 2), ("out-of-train", 4, 7, 1)]
)
def test_fixing_accounts_for_every_row(folder, tmp_path, leaks, rows_kept, rejected, merged):
    report = fixed(folder, tmp_path / "new", leaks=leaks).to_json()
    assert (report["rows_in"], report["kept"], report["rejected"], report["merged"]) == (
        12,
        rows_kept,
        rejected,
        merged,
    )
    again = inspect_rows(tmp_path / "new")
    assert "image-leak" not in again.counts or leaks == "keep"
    assert not {"duplicate-row", "two-labels", "aspect-ratio", "inverted"} & set(again.counts)


def test_fixing_inverts_back_pads_and_moves(folder, tmp_path):
    report = fixed(folder, tmp_path / "new", leaks="to-train")
    assert (report.inverted, report.padded, report.moved) == (1, 1, 1)
    rows = read_folder(tmp_path / "new")["train"]
    by_id = {sample.id: sample for sample in rows}
    assert list(by_id) == ["train-0", "train-4", "train-5", "test-2"]
    assert by_id["train-4"].image.size == (805, 5)
    assert by_id["train-5"].image.load().tobytes() == formula("y^3").convert("RGB").tobytes()
    assert by_id["train-0"].image.encoded() == IMAGES["good"]


def test_kinds_can_be_dropped_by_name(folder, tmp_path):
    report = fixed(folder, tmp_path / "new", drop=["inverted"]).to_json()
    assert report["rejected_by_kind"]["inverted"] == 1


def test_padding_puts_the_image_on_white(tmp_path):
    ribbon = Image.new("RGB", (805, 3), "black")
    ribbon.paste("white", (0, 0, 400, 3))
    write_parquet(
        tmp_path / "rows" / "train.parquet",
        ["x ^ 2"],
        [encoded(ribbon)],
    )
    rows = {"train": load_split(str(tmp_path / "rows"))}
    write_fixed(tmp_path / "new", rows, plan_actions(validate(rows, OPTIONS)), made_by={}, max_aspect=200)
    picture = read_folder(tmp_path / "new")["train"][0].image.load()
    assert picture.size == (805, 5)
    assert [picture.getpixel((800, y))[0] for y in range(5)] == [255, 0, 0, 0, 255]


def test_a_run_that_was_stopped_goes_on_where_it_was(folder, monkeypatch):
    monkeypatch.setattr("texlens.data.validate.scan.PART_ROWS", 2)
    decoded = []

    def examined(job):
        decoded.append(len(job[0]))
        return examine(job)

    monkeypatch.setattr("texlens.data.validate.scan.examine", examined)

    def stop(done):
        if len(decoded) >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspect_rows(folder, on_progress=stop)
    before = sum(decoded)
    decoded.clear()
    assert kinds_of(inspect_rows(folder)) == EXPECTED
    assert 0 < sum(decoded) < before
