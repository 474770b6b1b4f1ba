import json

import pytest
from typer.testing import CliRunner

from texlens.cli.data import app
from texlens.core.errors import DataError
from texlens.data.catalog import CATALOG


def test_every_data_set_is_listed_with_its_command():
    text = CliRunner().invoke(app, ["catalog"]).stdout
    assert all(entry.name in text and entry.command in text for entry in CATALOG)


def test_entries_are_chosen_by_name_and_written_as_json():
    entries = json.loads(CliRunner().invoke(app, ["catalog", "human_handwrite", "--json"]).stdout)
    assert [entry["subset"] for entry in entries] == ["human_handwrite", "human_handwrite_print"]
    assert entries[0]["defects"].startswith("all 23 different test labels")


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(DataError, match="no data set named 'nosuch' in the catalog; it has LaTeX_OCR small"):
        CliRunner().invoke(app, ["catalog", "nosuch"], catch_exceptions=False)
