"""`texlens data mix`."""

import pytest

from tests.unit.cli.data.calling import run
from texlens.core.errors import ConfigError
from texlens.data.folder.writer import read_folder


def test_mix_takes_names_and_shares(tmp_path, source):
    out = tmp_path / "mixed"
    run("mix", f"new={source}:1.0", f"old={source}:.1", "-o", out)
    domains = [row.domain for row in read_folder(out)["train"]]
    assert (domains.count("new"), domains.count("old")) == (40, 4)
    with pytest.raises(ConfigError, match="two sets are called 'source'"):
        run("mix", f"{source}:1", f"{source}:.1", "-o", out)
    with pytest.raises(ConfigError, match=r"no share; write .*:1.0"):
        run("mix", source, "-o", out)
