import json

from texlens.models.export_manifest import ExportManifest
from texlens.models.metadata import METADATA_FILE


def manifest() -> ExportManifest:
    return ExportManifest("merged", "b", "f", "a", "qwen3_vl", "r", 1, 2, "Read.", None, 8, notes={"method": "m"})


def test_a_written_manifest_is_read(tmp_path):
    (tmp_path / METADATA_FILE).write_text(json.dumps(manifest().to_json()))
    assert ExportManifest.read(tmp_path) == manifest()


def test_a_verification_is_added_to_a_copy():
    verified = manifest().with_verification({"rows": 3})
    assert verified.verified == {"rows": 3}
    assert manifest().verified is None
