import json

from texlens.data.folder.statistics import count, new_counts, read_statistics, statistics_if_made_by, write_statistics

ROW = {"split": "train", "id": "7", "where": "row 7", "reason": "torn", "kind": "damaged image"}


def counts(**rows):
    total = new_counts()
    for outcome, number in rows.items():
        count(total, outcome, number)
    return total


def test_rows_in_are_the_sum_of_what_became_of_them(tmp_path):
    splits = {"train": counts(kept=3, rejected=1), "test": counts(kept=2, merged=1)}
    written = write_statistics(tmp_path, {"command": "import"}, splits, [ROW], "f")
    assert [written[name] for name in ("rows_in", "kept", "rejected", "merged")] == [7, 5, 1, 1]
    assert written["rejected_by_kind"] == {"damaged image": 1}
    assert json.loads((tmp_path / "rejected.jsonl").read_text()) == ROW
    assert read_statistics(tmp_path) == written
    assert statistics_if_made_by(tmp_path, {"command": "import"}) == written
    assert statistics_if_made_by(tmp_path, {"command": "mix"}) is None


def test_a_folder_of_version_0_1_is_read_under_the_names_of_today(tmp_path):
    old = {"made_by": {}, "refused": 1, "refused_by_kind": {"row": 1}, "splits": {"train": {"kept": 2, "refused": 1}}}
    (tmp_path / "texlens-data.json").write_text(json.dumps(old))
    statistics = read_statistics(tmp_path)
    assert (statistics["rejected"], statistics["rejected_by_kind"]) == (1, {"row": 1})
    assert statistics["splits"] == {"train": {"kept": 2, "rejected": 1}}


def test_a_damaged_file_is_no_statistics(tmp_path):
    (tmp_path / "texlens-data.json").write_text("[")
    assert read_statistics(tmp_path) is None
