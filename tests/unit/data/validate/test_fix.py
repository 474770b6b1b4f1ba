import pytest
from PIL import Image, ImageOps

from tests.unit.data.pictures import encoded, png
from tests.unit.data.tables import write_parquet
from tests.unit.data.validate.test_image_stats import formula
from texlens.data.folder.writer import read_folder
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.validate.fix import plan_actions, write_fixed
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
