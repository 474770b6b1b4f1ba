"""A run's adapter as an artifact: checked, written to a staging folder, described, verified, renamed."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from texlens.adapters.lora import adapter_digest
from texlens.config.run import RunConfig
from texlens.core.errors import ExportError
from texlens.core.files import write_json
from texlens.core.run_folder import RunFolder
from texlens.exporting.folder import check_free_space, check_output, staging_dir
from texlens.exporting.formats.protocol import CALIBRATION_ROWS, ExportFormat, ExportJob
from texlens.exporting.formats.registry import find_format
from texlens.exporting.formats.serving_commands import ServingCommand
from texlens.exporting.readme import write_readme
from texlens.inference.confidence import KEY
from texlens.inference.opening.source import resolve_run_base
from texlens.models.checkpoint import weight_files
from texlens.models.export_manifest import ExportManifest
from texlens.models.metadata import METADATA_FILE, read_metadata, stored_preparation


class Verdict(Protocol):
    """The result of verifying an artifact."""

    @property
    def faults(self) -> list[str]: ...

    def to_json(self) -> dict: ...


Check = Callable[[Path], Verdict]


@dataclass(frozen=True)
class ExportResult:
    folder: Path
    manifest: ExportManifest
    commands: list[ServingCommand]


def export_run(
    config: RunConfig,
    run: RunFolder,
    output: Path,
    format_name: str,
    *,
    force: bool = False,
    quantize_vision: bool = False,
    calibration_rows: int = CALIBRATION_ROWS,
    check: Check | None = None,
    console: Console,
) -> ExportResult:
    """Writes the folder `output` with the run's adapter in a format.

    Args:
        check: called with the finished folder before it is renamed; if it finds faults, the folder is kept as
            `OUTPUT.failed` instead.

    Raises:
        ConfigError: an unknown format.
        ExportError: `output` exists or the disk is too small, the format can't be written, or the check found faults.
        ModelError: the adapter is damaged, belongs to another base, or can't be merged.
    """
    export_format = find_format(format_name)
    check_output(output, force=force)
    base = resolve_run_base(config, run).base
    job = ExportJob(config, run, base, output, console, quantize_vision, calibration_rows)
    check_free_space(output, export_format.needed_bytes(job))
    with staging_dir(output) as staging:
        notes = export_format.write(ExportJob(config, run, base, staging, console, quantize_vision, calibration_rows))
        manifest = _manifest(job, export_format, notes, staging)
        _copy_calibration(run.adapter, staging)
        manifest = _verified(manifest, staging, output, check)
        commands = export_format.serving_commands(manifest, output, staging)
        loading_code = export_format.loading_code(manifest, output.name)
        write_readme(staging, output.name, manifest, commands, loading_code)
    return ExportResult(output, manifest, commands)


def _manifest(job: ExportJob, export_format: ExportFormat, notes: Mapping[str, Any], staging: Path) -> ExportManifest:
    config, base, geometry = job.config, job.base, job.base.processor.geometry
    weights = [*staging.glob("*.safetensors"), *staging.glob("*.gguf"), *staging.glob("*.onnx*")]
    return ExportManifest(
        format=export_format.name,
        reader=export_format.reader,
        base=base.path,
        base_fingerprint=base.fingerprint,
        adapter=adapter_digest(job.run.adapter),
        family=base.processor.family.model_type,
        run=job.run.path.name,
        resize=geometry.resize,
        image_preparation=stored_preparation(config.model, base.folder),
        min_pixels=geometry.min_pixels,
        max_pixels=geometry.max_pixels,
        prompt=config.data.prompt,
        system_prompt=config.data.system_prompt,
        max_new_tokens=job.decoding.max_new_tokens,
        temperature=job.decoding.temperature,
        notes=notes,
        sizes={
            "weights": sum(path.stat().st_size for path in weights),
            "base": sum(path.stat().st_size for path in weight_files(base.folder)),
        },
    )


def _verified(manifest: ExportManifest, staging: Path, output: Path, check: Check | None) -> ExportManifest:
    """The manifest with the result of the check, written.

    Raises:
        ExportError: faults; the folder is then kept as `OUTPUT.failed`.
    """
    _write_manifest(staging, manifest)
    if check is None:
        return manifest
    verdict = check(staging)
    manifest = manifest.with_verification(verdict.to_json())
    _write_manifest(staging, manifest)
    if verdict.faults:
        failed = output.with_name(f"{output.name}.failed")
        shutil.rmtree(failed, ignore_errors=True)
        os.replace(staging, failed)
        raise ExportError(
            f"{output}: the {manifest.format} artifact gives other predictions than the adapter "
            f"({'; '.join(verdict.faults)}); it is kept at {failed}; --tolerance or --no-verify accepts it, "
            f"--format int8 or merged loses less"
        )
    return manifest


def _copy_calibration(adapter: Path, folder: Path) -> None:
    """The adapter's confidence calibration holds for the artifact too, since its predictions are the same."""
    if calibration := read_metadata(adapter).get(KEY):
        write_json(folder / METADATA_FILE, {**read_metadata(folder), KEY: calibration})


def _write_manifest(folder: Path, manifest: ExportManifest) -> None:
    """Keeps the other keys of the file: a calibration, and the metadata with which an adapter is loaded."""
    write_json(folder / METADATA_FILE, {**read_metadata(folder), **manifest.to_json()})
