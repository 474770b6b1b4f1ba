from rich.console import Console

from tests.unit.evaluation.suite.test_measure import result
from texlens.evaluation.suite.benchmarks import chosen
from texlens.evaluation.suite.tables import suite_lines, suite_table


def printed(table):
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_ours_comes_first_and_published_results_have_sources():
    text = printed(suite_table("crohme", [result("crohme-2014", [("x", "x")])], "runs/x"))
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if "100.0" in line] == ["runs/x", "(100.0–100.0)", "canonical"]
    assert any("CoMER" in line and "59.3" in line and "arXiv:2207.04410" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_part_of_the_rows_and_missing_test_sets_are_reported():
    lines = suite_lines([result("crohme-2014", [("x", "x")])], chosen("crohme-2016"))
    assert lines[0] == ("crohme-2014: 1 of 986 rows, not comparable as a whole; what it was trained on is not known")
    assert lines[1].startswith("crohme-2016: not here; get it from data.zip of Uni-MuMER")
