import pytest
from PIL import Image

from tests.unit.data.pictures import encoded
from tests.unit.data.tables import write_parquet
from tests.unit.data.validate.rows import IMAGES, OPTIONS, inspect_rows
from tests.unit.data.validate.test_image_stats import formula
from texlens.data.folder.writer import read_folder
from texlens.data.load import load_split
from texlens.data.validate.fix import plan_actions, write_fixed
from texlens.data.validate.run import validate


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
