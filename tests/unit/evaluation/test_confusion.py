from texlens.evaluation.comparison import compare
from texlens.evaluation.confusion import Confusion, confusion_counts, confusions
from texlens.metrics.prediction import Prediction


def rows(*pairs: tuple[str, str]) -> list[Prediction]:
    return [Prediction(str(number), reference, text) for number, (reference, text) in enumerate(pairs)]


def test_substitutions_omissions_and_insertions_are_counted():
    counts = confusion_counts(rows(("x + 1", "x - 1 2"), ("a b", "a"), ("x + y", "x - y")))
    assert counts == {("+", "-"): 2, ("", "2"): 1, ("b", ""): 1}


def test_structure_and_failed_rows_are_left_out():
    failed = Prediction("f", "x", "", stop="failed", error="damaged")
    assert confusion_counts([*rows(("x ^ { 2 }", "x ^ 2")), failed]) == {}


def test_most_frequent_of_the_adapter_come_first_with_the_counts_of_all():
    base = rows(("x + 1", "x - 1"), ("x + 2", "x - 2"), ("a", "b"))
    adapter = rows(("x + 1", "x + 1"), ("x + 2", "x - 2"), ("a", "\\alpha"))
    assert confusions(compare({"base": base, "adapter": adapter})) == [
        Confusion("+", "-", {"base": 2, "adapter": 1}),
        Confusion("a", "\\alpha", {"base": 0, "adapter": 1}),
    ]


def test_the_list_is_limited():
    wrong = rows(*((chr(97 + number), "0") for number in range(26)))
    assert len(confusions(compare({"base": wrong}), limit=5)) == 5
