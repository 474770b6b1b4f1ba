from tests.unit.data.tables import write_parquet
from tests.unit.data.validate.rows import EXPECTED, OPTIONS, inspect_rows, kinds_of
from texlens.data.load import load_split
from texlens.data.validate.findings import KINDS
from texlens.data.validate.run import validate


def test_every_fault_is_found_and_nothing_else(folder):
    assert kinds_of(inspect_rows(folder)) == EXPECTED


def test_a_finding_names_row_file_reason_remedy_kind_and_severity(folder):
    report = [finding.to_json() for finding in inspect_rows(folder).findings]
    assert report[0] == {
        "kind": "unreadable-image",
        "severity": "error",
        "split": "train",
        "row": 2,
        "id": "train-2",
        "where": f"{folder}/train.parquet row 2",
        "reason": "not a readable image (cannot identify image file)",
        "remedy": "replace or remove the image",
    }
    assert all(finding["remedy"] and finding["kind"] in KINDS for finding in report)


def test_captions_are_not_judged_as_latex(tmp_path):
    write_parquet(tmp_path / "train.parquet", ["50% of a cat & a dog", "A red bus #3"])
    assert validate({"train": load_split(str(tmp_path / "train.parquet"))}, OPTIONS).counts == {}
