"""`texlens data import`: statistics of what came in."""

from tests.unit.cli.data.calling import run


def test_import_prints_statistics_and_reuses_the_folder_the_second_time(tmp_path, source):
    output = run("import", source, "-o", tmp_path / "d").stdout
    assert "42 rows in = 42 kept + 0 rejected + 0 merged\n" in output
    assert "  train: 40 rows in = 40 kept" in output
    assert "merged, as it stood\n" in run("import", source, "-o", tmp_path / "d").stdout
