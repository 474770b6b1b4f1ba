import pytest

from texlens.core.errors import ConfigError
from texlens.evaluation.suite.benchmarks import BENCHMARKS, SUITES, chosen
from texlens.metrics.presets import PRESETS
from texlens.metrics.registry import metric_named


def test_the_five_suites_are_there():
    assert SUITES == ("crohme", "hme100k", "mathwriting", "unimer", "im2latexv2")


def test_a_suite_is_all_its_parts_and_a_part_is_itself():
    assert [benchmark.name for benchmark in chosen("crohme,unimer-spe")] == [
        "crohme-2014",
        "crohme-2016",
        "crohme-2019",
        "unimer-spe",
    ]


@pytest.mark.parametrize("names", ["crohme2014", "", "crohme,nosuch"])
def test_an_unknown_suite_is_an_error_that_lists_the_known_ones(names):
    with pytest.raises(ConfigError, match="no such test set; there are crohme, hme100k"):
        chosen(names)


def test_every_score_is_one_of_its_rules():
    for benchmark in BENCHMARKS:
        metrics = [metric.name for metric in PRESETS[benchmark.preset].metrics] if benchmark.preset else []
        assert benchmark.score in metrics or metric_named(benchmark.score).name == benchmark.score
