from texlens.evaluation.suite.benchmarks import BENCHMARKS
from texlens.evaluation.suite.published import PUBLISHED, published_on


def test_every_published_value_is_a_percentage_of_a_known_test_set_with_a_source():
    names = {benchmark.name for benchmark in BENCHMARKS}
    for result in PUBLISHED:
        assert set(result.values) <= names
        assert all(1 < value <= 100 for value in result.values.values())
        assert result.source.startswith(("arXiv:", "github.com/"))


def test_results_are_chosen_by_test_set():
    assert [result.system for result in published_on(["unimer-sce"])] == ["UniMERNet-B"]
