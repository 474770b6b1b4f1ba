"""`texlens data inspect`."""

import json

from tests.unit.cli.data.calling import called


def test_an_inspection_writes_its_report(folder, tmp_path):
    report = json.loads(called("inspect", folder, "--report", tmp_path / "report.html", "--json"))
    assert report["splits"]["train"]["rows"] == 2
    assert "<html" in (tmp_path / "report.html").read_text()
    assert "errors" in called("inspect", folder)
