"""By what a row is recognized in another place."""

from texlens.data.sample import LazyImage, Sample
from texlens.data.validate.image_stats import ImageStats
from texlens.data.validate.row_keys import row_keys, spaceless
from texlens.data.validate.scan import RowStats


def keys(text, prompt=None, problem=""):
    image = LazyImage.from_bytes(b"", "row 0")
    stats = ImageStats(problem=problem, pixels=b"p", perceptual_hash=b"h")
    return row_keys("train", RowStats(0, Sample("0", image, text, prompt=prompt), (stats,), ""))


def test_white_space_in_a_label_does_not_count():
    assert spaceless(" x ^ 2\n") == "x^2"
    assert keys("x ^ 2").label == keys("x^2").label != keys("x^3").label


def test_the_prompt_counts_and_an_unreadable_image_has_no_key():
    assert keys("x", "one").prompt != keys("x", "two").prompt
    assert keys("x").image
    assert keys("x", problem="damaged").image == b""
    assert keys("").label == b""
