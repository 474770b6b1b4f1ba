import re

from texlens.html.histogram import histogram


def test_every_value_of_a_few_has_its_own_bar():
    svg = str(histogram([1, 2, 2, 4], "symbols"))
    heights = [float(height) for height in re.findall(r'class="height s1"[^>]*height="([\d.]+)"', svg)]
    assert [round(height / max(heights), 2) for height in heights] == [0.5, 1, 0, 0.5]
    assert ">1</text>" in svg
    assert ">4 symbols</text>" in svg


def test_an_outlier_is_reported_and_does_not_flatten_the_rest():
    svg = str(histogram([10] * 500 + [12] * 500 + [100_000], "px"))
    assert "12 and more, to 100,000 px" in svg


def test_equal_values_and_none_at_all_are_drawn_without_fault():
    assert str(histogram([], "px")) == ""
    assert "<svg" in str(histogram([5, 5], "px"))
    assert "<svg" in str(histogram([0.5, 0.5], "times"))
