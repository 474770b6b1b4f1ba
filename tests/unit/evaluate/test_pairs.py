"""Any program's predictions: from lists in Python, and from files with columns of their own."""

import json

import pytest

import texlens.evaluate
from texlens.core.errors import ConfigError, DataError
from texlens.evaluate.pairs import score_pairs, score_predictions
from texlens.evaluate.rows import Columns, read_rows, write_rows

OURS = Columns("gt", "pred")


def file_of(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_two_lists_are_enough():
    told = texlens.evaluate.score(["x^2", "y"], ["x^{2}", "z"])
    assert told["rows"] == 2
    assert told["scores"]["exact_match_canonical"]["value"] == 0.5
    assert told["scores"]["cdm_f1"]["value"] == 0.5
    assert told["cdm"] == "default"


def test_a_missing_prediction_scores_zero_and_is_counted():
    told = texlens.evaluate.score(["x", "y"], ["x", None])
    assert (told["failed"], told["scores"]["cdm_f1"]["value"], told["scores"]["valid"]["value"]) == (1, 0.5, 0.5)


def test_lists_of_different_lengths_are_told():
    with pytest.raises(DataError, match="2 truths but 1 predictions"):
        texlens.evaluate.score(["x", "y"], ["x"])


def test_definitions_stand_with_the_numbers():
    told = texlens.evaluate.score(["x"], ["x"])
    assert "nrefs:1|case:mixed|eff:no|tok:none|smooth:exp" in told["definitions"]["bleu4"]


def test_slices_by_length_kind_and_domain():
    truths = ["x", r"\frac{a}{b}", r"\begin{matrix} a \\ b \end{matrix}", "y+" * 40]
    told = texlens.evaluate.score(truths, ["x", "a", truths[2], truths[3]], domains=["p", "p", "q", None])["slices"]
    assert {part: of["rows"] for part, of in told["length"].items()} == {"1–20 tokens": 3, "51–100 tokens": 1}
    assert {part: of["rows"] for part, of in told["kind"].items()} == {"fraction": 1, "matrix": 1, "plain": 2}
    assert {part: of["scores"]["exact_match"]["value"] for part, of in told["domain"].items()} == {
        "other": 1.0, "p": 0.5, "q": 1.0,
    }  # fmt: skip


def test_metrics_can_be_chosen():
    told = texlens.evaluate.score(["x"], ["x"], metrics="cdm_f1,bleu4")
    assert list(told["scores"]) == ["bleu4", "cdm_f1"]


def test_rules_of_cdm_can_be_chosen():
    values = [texlens.evaluate.score(["a<b"], [r"a\lt b"], cdm=name)["scores"]["cdm_f1"]["value"] for name in
              ("default", "reference", "reference-2024")]  # fmt: skip
    assert values == [1.0, 0.8, 0.8]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": "accuracy"}, "no metric is named 'accuracy'"),
        ({"cdm": "strict"}, "no rules of CDM are named 'strict'"),
        ({"preset": "nobody"}, "no preset is named 'nobody'; choose from uni-mumer"),
        ({"preset": "uni-mumer", "metrics": "bleu4"}, "preset uni-mumer has its own metrics"),
    ],
)
def test_what_is_not_known_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        score_pairs(["x"], ["x"], **settings)


def test_rows_keep_their_columns_and_gain_scores(tmp_path):
    path = file_of(
        tmp_path, {"gt": "x^2", "pred": "x^{2}", "page": 7}, {"gt": "y", "pred": None}, {"gt": "z", "pred": "z^{"}
    )
    rows, predictions = read_rows(path, OURS)
    write_rows(tmp_path / "out.jsonl", rows, predictions, score_predictions(predictions))
    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["cdm_f1"] for row in told] == [1.0, 0.0, 0.0]
    assert (told[0]["page"], told[0]["exact_match_canonical"], told[0]["character_error_rate"]) == (7, 1.0, 2 / 3)
    assert "problem" not in told[0]
    assert told[1]["problem"] == "no prediction"
    assert "character" in told[2]["problem"]


def test_ids_that_stand_twice_are_replaced_by_line_numbers(tmp_path):
    path = file_of(tmp_path, {"gt": "x", "pred": "x", "id": "a"}, "", {"gt": "y", "pred": "y", "id": "a"})
    assert [row.id for row in read_rows(path, OURS)[1]] == ["1", "3"]
    path = file_of(tmp_path, {"gt": "x", "pred": "x", "id": "a"}, {"gt": "y", "pred": "y", "id": "b"})
    assert [row.id for row in read_rows(path, OURS)[1]] == ["a", "b"]


def test_our_own_predictions_keep_their_stop(tmp_path):
    path = file_of(
        tmp_path,
        {"id": "a", "truth": "x", "text": "x", "stop": "length"},
        {"id": "b", "truth": "x", "text": "x", "stop": "failed", "error": "b.png: damaged"},
    )
    _, (cut, failed) = read_rows(path)
    assert (cut.stop, failed.stop, failed.error) == ("length", "failed", "b.png: damaged")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "rows.jsonl, line 1: not JSON"),
        ("[1]", "rows.jsonl, line 1: a list, not an object"),
        ('{"pred": "x"}', r"rows.jsonl, line 1: no string in column 'gt' \(there are: pred\); name it with --truth"),
        ('{"gt": "x", "text": "x"}', r"no row has a column 'pred' \(there are: gt, text\); name it with --prediction"),
        ("", "rows.jsonl: no rows"),
    ],
)
def test_a_file_that_cannot_be_scored_says_why(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        read_rows(file_of(tmp_path, line), OURS)


def test_a_prediction_that_is_no_string_is_a_failed_one(tmp_path):
    _, (row, _) = read_rows(file_of(tmp_path, {"gt": "x", "pred": ["x"]}, {"gt": "x", "pred": "x"}), OURS)
    assert row.error == "the prediction is a list, not a string"
