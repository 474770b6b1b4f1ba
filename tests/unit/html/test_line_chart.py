"""Charts keep their points inside the frame, with round ticks and safe text."""

import json
import math
import re
import xml.etree.ElementTree as ET

import pytest

from texlens.html.line_chart import HEIGHT, LEFT, MAX_POINTS, WIDTH, Series, line_chart, round_ticks


def points_of(svg):
    return [
        tuple(float(part) for part in pair.split(","))
        for places in re.findall(r'points="([^"]*)"', svg)
        for pair in places.split()
    ]


def test_a_chart_is_well_formed_and_inside_its_frame():
    svg = line_chart([Series("training", [(step, 3 / (1 + step)) for step in range(20)], "train")], "loss")
    ET.fromstring(svg)
    assert all(LEFT <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points_of(svg))


def test_falling_values_go_down_on_the_page():
    (_, first), (_, last) = points_of(line_chart([Series("loss", [(0, 2.0), (10, 1.0)], "train")], "loss"))
    assert first < last


def test_the_pointer_finds_the_values_as_they_were():
    svg = line_chart([Series("training", [(5, 1.23456)], "train")], "loss")
    drawn = json.loads(ET.fromstring(svg).attrib["data-series"])
    assert drawn[0]["name"] == "training"
    assert drawn[0]["points"][0][2:] == ["5", "1.235"]


def test_without_points_there_is_no_chart():
    assert line_chart([Series("training", [], "train")], "loss") == ""


def test_a_loss_that_is_not_a_number_is_left_out():
    svg = line_chart([Series("loss", [(0, 1.0), (1, math.nan), (2, math.inf), (3, 0.5)], "train")], "loss")
    assert len(points_of(svg)) == 2


def test_many_points_are_thinned_to_their_means():
    svg = line_chart([Series("loss", [(step, 1.0 + step % 2) for step in range(10_000)], "train")], "loss")
    places = points_of(svg)
    assert len(places) == MAX_POINTS
    assert len({y for _, y in places}) == 1


def test_a_steep_fall_is_drawn_on_a_log_scale_and_says_so():
    assert "log scale" in line_chart([Series("loss", [(0, 10.0), (1, 0.01)], "train")], "loss")
    assert "log scale" not in line_chart([Series("loss", [(0, 2.0), (1, 1.0)], "train")], "loss")


def test_names_are_escaped():
    svg = line_chart([Series("<b>'\"", [(0, 1.0)], "train")], "a < b")
    assert "<b>" not in svg
    assert ET.fromstring(svg).attrib["aria-label"] == "a < b"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 1195, [0, 200, 400, 600, 800, 1000]), (3, 3, [3]), (0, 0.007, None)],
)
def test_ticks_are_round(low, high, ticks):
    ticks = round_ticks(low, high)
    assert ticks == ticks if ticks else 3 <= len(ticks) <= 7
