"""Folders made by `texlens export`, checked before anything large is read."""

from pathlib import Path

from texlens.core.errors import ModelError
from texlens.models.export_manifest import ExportManifest


def check_export(folder: Path, fingerprint: str) -> ExportManifest:
    """The manifest of an exported folder.

    Args:
        fingerprint: of the base that it should have been made from.

    Raises:
        ModelError: no such folder, no export, or one made from another base.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; name one that `texlens export` made")
    manifest = ExportManifest.read(folder)
    if manifest is None:
        raise ModelError(
            f"{folder}: no metadata of an export (texlens.json) in it; name a folder that `texlens export` made"
        )
    if manifest.base_fingerprint != fingerprint:
        raise ModelError(
            f"{folder}: made of another base ({manifest.base}, fingerprint {manifest.base_fingerprint[:12]}) than this "
            f"run's ({fingerprint[:12]}); name the run that it was exported from"
        )
    return manifest
