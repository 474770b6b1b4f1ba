"""Each call of a pre-training leaves its settings and the digests of its files."""

import json
from pathlib import Path

from pretraining.provenance import write_provenance


def test_calls_are_added_in_order(tmp_path: Path):
    file = tmp_path / "font.otf"
    file.write_bytes(b"abc")
    for seed in (1, 2):
        write_provenance(tmp_path, {"seed": seed, "out": tmp_path}, [file])
    calls = json.loads((tmp_path / "provenance.json").read_text())
    assert [call["settings"]["seed"] for call in calls] == [1, 2]
    assert calls[0]["files"] == {"font.otf": "ba7816bf8f01cfea"}
    assert len(calls[0]["code"]) == 16
