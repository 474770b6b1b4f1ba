import pytest

from texlens.core.errors import ConfigError
from texlens.workflows.sweep.samplers import Grid, RandomSearch, Tpe, choose_sampler
from texlens.workflows.sweep.space import parse_space

CHOICES = parse_space(["a=1,2,3", "b=x,y"])
MIXED = parse_space(["a=8,16,32", "b=1e-5..3e-4"])


def points_of(sampler, count: int) -> list:
    points = []
    for _ in range(count):
        points.append(sampler.ask())
        sampler.report(points[-1]["a"] * 1.0)
    return points


def test_a_grid_has_every_combination_once():
    grid = Grid(CHOICES, 0, 6)
    points = [grid.ask() for _ in range(7)]
    assert points[:3] == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}]
    assert points[6] is None


def test_random_search_repeats_by_seed_and_draws_no_point_twice():
    assert points_of(RandomSearch(MIXED, 3, 5), 5) == points_of(RandomSearch(MIXED, 3, 5), 5)
    assert points_of(RandomSearch(MIXED, 3, 5), 5) != points_of(RandomSearch(MIXED, 4, 5), 5)
    points = points_of(RandomSearch(CHOICES, 0, 6), 6)
    assert len({tuple(point.items()) for point in points}) == 6


def test_random_search_ends_where_nothing_is_left():
    sampler = RandomSearch(CHOICES, 0, 6)
    points_of(sampler, 6)
    assert sampler.ask() is None


def test_tpe_repeats_by_seed_and_stays_in_the_space():
    pytest.importorskip("optuna")
    points = points_of(Tpe(MIXED, 1, 9), 9)
    assert points == points_of(Tpe(MIXED, 1, 9), 9)
    assert {point["a"] for point in points} <= {8, 16, 32}
    assert all(1e-5 <= point["b"] <= 3e-4 for point in points)


def test_tpe_without_optuna_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'texlens\[sweep\]'"):
        Tpe(MIXED, 0, 3)


@pytest.mark.parametrize(
    ("name", "space", "trials", "expected"),
    [
        ("auto", CHOICES, None, ("grid", 6)),
        ("auto", CHOICES, 4, ("random", 4)),
        ("auto", CHOICES, 100, ("random", 6)),
        ("auto", MIXED, 12, ("random", 12)),
        ("tpe", MIXED, 12, ("tpe", 12)),
    ],
)
def test_choices_alone_are_a_grid(name, space, trials, expected):
    assert choose_sampler(name, space, trials) == expected


def test_impossible_samplers_are_refused():
    with pytest.raises(ConfigError, match="no such sampler; choose auto, grid, random, tpe"):
        choose_sampler("bayes", CHOICES, 3)
    with pytest.raises(ConfigError, match="--trials is missing"):
        choose_sampler("auto", MIXED, None)
    with pytest.raises(ConfigError, match="b: a grid has no ranges"):
        Grid(MIXED, 0, 3)
