"""Rows of the old kind: to train on, and to guard."""

from tests.unit.data.tables import write_parquet
from texlens.workflows.learn.rehearsal import rehearsal_rows


def labels(samples):
    return ["".join(sample.text.split()) for sample in samples]


def test_the_bundled_model_rehearses_generated_print():
    rehearsal = rehearsal_rows("nano", "", rows=6, guard_rows=2)
    assert (len(rehearsal.train), len(rehearsal.guard), rehearsal.problem) == (6, 2, "")
    assert {sample.domain for sample in rehearsal.train} == {"rehearsal"}


def test_a_data_set_is_rehearsed_in_another_order_each_round_and_guards_stay(tmp_path):
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", [f"x_{n % 60}" for n in range(120)])
    first, second = (rehearsal_rows("nano", str(tmp_path / "d"), rows=20, guard_rows=5, seed=n) for n in (1, 2))
    assert labels(first.guard) == labels(second.guard)
    assert labels(first.train) != labels(second.train)
    assert not set(labels(first.train)) & set(labels(first.guard))
    ids = [sample.id for sample in (*first.train, *first.guard)]
    assert len(ids) == len(set(ids))


def test_none_and_an_unknown_model_say_why():
    assert rehearsal_rows("nano", "", rows=0).problem == "switched off"
    assert "name some with --rehearsal-data" in rehearsal_rows("owner/model", "").problem
    assert "no such" in rehearsal_rows("nano", "./not/there").problem
