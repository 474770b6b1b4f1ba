import json

from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.models.families import FAMILIES


def test_families_are_those_of_the_registry():
    output = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).stdout)
    assert [row["model_type"] for row in output["families"]] == [family.model_type for family in FAMILIES.values()]


def test_a_folder_needs_no_download(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    result = CliRunner().invoke(app, ["models", "download", str(tmp_path), "--json"])
    assert json.loads(result.stdout) == {"model": str(tmp_path), "folder": str(tmp_path)}
