"""The rows of the page: differences, outcomes, and pictures within their budgets."""

import io

import pytest
from PIL import Image

from texlens.core.errors import LatexError
from texlens.data.sample import LazyImage
from texlens.evaluation.comparison import compare
from texlens.evaluation.report.gallery import differences, gallery
from texlens.html.pictures import MAX_SIDE, Drawings, data_uri
from texlens.metrics.prediction import Prediction

REFERENCE = "x ^ 2 + y"
COMPARISON = compare(
    {
        "base": [
            Prediction("both", REFERENCE, "x^2+y"),
            Prediction("broken", REFERENCE, "x^2+y"),
            Prediction("fixed", REFERENCE, "x^3+y"),
            Prediction("neither", REFERENCE, "a " * 30, stop="length"),
        ],
        "adapter": [
            Prediction("both", REFERENCE, "x^2+y"),
            Prediction("broken", REFERENCE, "x^2+z"),
            Prediction("fixed", REFERENCE, "x^2+y"),
            Prediction("neither", REFERENCE, "", stop="failed", error="img.png: damaged"),
        ],
    }
)


def png(width=20, height=10, color="white", kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


def drawings(draw=lambda formula: f"<svg>{formula}</svg>", max_bytes=10_000, max_seconds=60.0):
    return Drawings(draw, max_bytes, max_seconds)


def rows_of(images=None, drawn=None, most_image_bytes=10**6):
    rows, shown, whole = gallery(COMPARISON, images or {}, drawn or drawings(), most_image_bytes)
    return {row["id"]: row for row in rows}, shown, whole


@pytest.mark.parametrize(
    ("reference", "text", "entry"),
    [
        ("x ^ 2 + y", "x ^ 3 + y z", "2=1s2=1i"),
        ("x y", "y", "1d1="),
        ("x", "x", "1="),
        ("", "x y", "2i"),
        ("x y", "", "2d"),
        ("", "", ""),
    ],
)
def test_differences_are_reported_run_by_run(reference, text, entry):
    assert differences(reference.split(), text.split()) == entry


def test_each_row_has_its_outcome():
    rows, _, _ = rows_of()
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "both": "right",
        "broken": "broken",
        "fixed": "fixed",
        "neither": "wrong",
    }


def test_a_text_equal_to_the_truth_is_not_stored_twice():
    rows, _, _ = rows_of()
    assert "text" not in rows["fixed"]["texts"][1]
    assert rows["fixed"]["texts"][0]["text"] == "x ^ 3 + y"
    assert rows["fixed"]["texts"][1]["drawn"] == rows["fixed"]["drawn"]


def test_loops_limits_and_failures_are_flagged():
    rows, _, _ = rows_of()
    assert rows["neither"]["texts"][0]["flags"] == ["length", "loop"]
    assert rows["neither"]["texts"][1]["flags"] == ["failed"]
    assert rows["neither"]["texts"][1]["error"] == "img.png: damaged"


def test_a_formula_that_can_not_be_drawn_says_why():
    def draw(formula):
        raise LatexError("unknown command \\foo", 3)

    drawn = drawings(draw)
    rows, _, _ = rows_of(drawn=drawn)
    assert drawn.items[rows["both"]["drawn"]] == "!can't be drawn: unknown command \\foo"


def test_each_formula_is_drawn_once():
    formulas = []
    rows_of(drawn=drawings(lambda formula: formulas.append(formula) or "<svg/>"))
    assert len(formulas) == len(set(formulas))


def test_drawing_stops_when_its_bytes_or_seconds_are_spent():
    assert rows_of(drawn=drawings(max_bytes=1))[2] < 4
    assert rows_of(drawn=drawings(max_seconds=-1.0))[2] == 0


def test_a_text_of_thousands_of_tokens_is_not_drawn():
    drawn = drawings()
    assert drawn.items[drawn.index("x" * 5000)] == "!not drawn: 5,000 tokens"


def test_images_are_embedded_until_the_budget_is_spent_one_outcome_after_another():
    images = {name: LazyImage.from_bytes(png()) for name in ("both", "broken", "fixed", "neither")}
    rows, shown, _ = rows_of(images)
    assert shown == 4
    size = len(rows["both"]["image"])
    rows, shown, _ = rows_of(images, most_image_bytes=2 * size)
    assert shown == 2
    assert {name for name, row in rows.items() if "image" in row} == {"fixed", "broken"}


def test_a_damaged_image_says_so_and_the_rest_goes_on():
    rows, shown, _ = rows_of({"both": LazyImage.from_bytes(b"no image"), "fixed": LazyImage.from_bytes(png())})
    assert shown == 1
    assert "not a readable image" in rows["both"]["image_error"]


def test_a_missing_image_file_says_so(tmp_path):
    rows, _, _ = rows_of({"both": LazyImage.from_file(tmp_path / "gone.png")})
    assert "gone.png" in rows["both"]["image_error"]


def test_small_images_are_kept_as_they_are():
    assert data_uri(LazyImage.from_bytes(png())).startswith("data:image/png;base64,")
    assert data_uri(LazyImage.from_bytes(png(kind="JPEG"))).startswith("data:image/jpeg;base64,")


def test_a_format_that_browsers_do_not_show_becomes_one_that_they_do():
    assert data_uri(LazyImage.from_bytes(png(kind="TIFF"))).startswith("data:image/")
    assert "tiff" not in data_uri(LazyImage.from_bytes(png(kind="TIFF")))[:30]


def test_large_photographs_are_scaled_down():
    import base64

    photo = io.BytesIO()
    Image.effect_noise((2000, 1500), 60).convert("RGB").save(photo, "JPEG", quality=95)
    uri = data_uri(LazyImage.from_bytes(photo.getvalue()))
    small = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert max(small.size) == MAX_SIDE


def test_a_wrong_row_shows_text_and_truth_with_their_differences():
    drawn = Drawings(
        lambda formula: formula,
        10_000,
        60.0,
        draw_pair=lambda reference, text: (f"missed {reference}", f"wrong {text}"),
    )
    rows, _, whole = rows_of(drawn=drawn)
    entry = rows["fixed"]["texts"][0]
    assert (drawn.items[entry["missed"]], drawn.items[entry["drawn"]]) == (f"missed {REFERENCE}", "wrong x^3+y")
    assert "missed" not in rows["fixed"]["texts"][1]
    assert whole == 4
    assert entry["cdm"] == 0.75


def test_what_cannot_be_paired_is_drawn_without_colors():
    def draw_pair(reference, text):
        raise LatexError("unknown command", 3)

    drawn = Drawings(lambda formula: formula, 10_000, 60.0, draw_pair=draw_pair)
    rows, _, _ = rows_of(drawn=drawn)
    assert drawn.items[rows["fixed"]["texts"][0]["drawn"]] == "x^3+y"
