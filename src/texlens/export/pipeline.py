"""A run's adapter as an artifact: checked, made aside, carded, verified, put in place."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from texlens.adapters.lora import SETTINGS, WEIGHTS, check_adapter, is_full
from texlens.adapters.metadata import AdapterMetadata
from texlens.adapters.moe_lora.register import NAME as MOE_LORA
from texlens.config.run import RunConfig
from texlens.core.errors import ExportError
from texlens.core.files import sha256_of, write_json
from texlens.core.run_folder import RunFolder
from texlens.export.bitsandbytes import int8_codec, nf4_codec
from texlens.export.compressed import fp8_codec
from texlens.export.folder import check_free_space, check_output, staging_dir, write_supporting_files
from texlens.export.merged import write_merged
from texlens.export.quantized import chosen_layers, quantized_bytes, write_quantized
from texlens.export.readme import write_readme
from texlens.export.serving_commands import serving_commands
from texlens.export.standalone_loader import write_standalone_loader
from texlens.export.task_calibration import calibrated_codec
from texlens.inference.confidence import KEY
from texlens.models.build import BaseCheckpoint, build_base
from texlens.models.checkpoint import CONFIG, INDEX, fingerprint, weight_files
from texlens.models.export_manifest import ExportManifest
from texlens.models.metadata import METADATA_FILE, read_metadata
from texlens.models.processor import Processor

SIZE_RATIO = {"nf4": 0.27, "int8": 0.51, "fp8": 0.51, "gptq": 0.27, "awq": 0.27}
"""What a quantized layer takes, scales included, of its 16-bit size."""
NF4_WIDTH = 64
"""bitsandbytes computes on a CPU only with layers whose inputs are whole blocks."""
CALIBRATED = ("gptq", "awq")
CALIBRATION_ROWS = 64


class Verdict(Protocol):
    """What a check of the artifact found."""

    @property
    def faults(self) -> list[str]: ...

    def to_json(self) -> dict: ...


Check = Callable[[Path], Verdict]


@dataclass(frozen=True)
class Exported:
    folder: Path
    card: ExportManifest
    commands: list[str]


def export_run(
    config: RunConfig,
    run: RunFolder,
    output: Path,
    form: str,
    *,
    force: bool = False,
    quantize_vision: bool = False,
    calibration_rows: int = CALIBRATION_ROWS,
    check: Check | None = None,
    console: Console,
) -> Exported:
    """The folder `output` with the run's adapter in this format.

    Args:
        check: called with the finished folder before it takes its place; where it finds faults, the folder is kept as
            `OUTPUT.failed` instead.

    Raises:
        ExportError: the place is taken or too small, the format can't be made, or the check found faults.
        ModelError: the adapter is damaged, belongs to another base, or can't be merged.
    """
    check_output(output, force=force)
    base = checked_base(config, run)
    check_free_space(output, _needed(base, run, form, quantize_vision))
    with staging_dir(output) as aside:
        if form == "adapter":
            made = _adapter(run, base, aside)
        elif form == "merged":
            made = {"method": "merged in float32, rounded once", **_merged(run, base, aside)}
        elif form == "gguf":
            from texlens.export.gguf.write import write_gguf

            made = _over_merged(run, base, aside, lambda merged: write_gguf(merged, base.processor, aside))
            shutil.copyfile(base.folder / CONFIG, aside / CONFIG)
            write_supporting_files(base.folder, base.processor, aside)
        else:
            console.print(f"merging, then quantizing to {form}")
            made = _over_merged(
                run,
                base,
                aside,
                lambda merged: _quantized(
                    merged, aside, form, quantize_vision, config, base.processor, calibration_rows, console
                ),
            )
        card = _card(config, run, base, form, made, aside)
        _keep_calibration(run.adapter, aside)
        card = _checked(card, aside, output, check)
        commands = serving_commands(output, card, aside)
        write_readme(aside, output.name, card, commands)
    return Exported(output, card, commands)


def checked_base(config: RunConfig, run: RunFolder) -> BaseCheckpoint:
    """The run's base with the pixel budget of training, once the adapter is known to be whole and to belong to it."""
    if not run.adapter.is_dir():
        raise ExportError(f"{run.path}: no adapter in it; train it first, `texlens train --resume {run.path}`")
    check_adapter(run.adapter, None)
    card = AdapterMetadata.read(run.adapter)
    base = build_base(
        config.model, min_pixels=card.min_pixels if card else None, max_pixels=card.max_pixels if card else None
    )
    check_adapter(run.adapter, base.fingerprint)
    return base


def _needed(base: BaseCheckpoint, run: RunFolder, form: str, vision: bool) -> int:
    """Bytes on disk at the most while the artifact is made."""
    files = weight_files(base.folder)
    whole = sum(path.stat().st_size for path in files)
    if form == "adapter":
        return sum(path.stat().st_size for path in run.adapter.glob("*.safetensors"))
    if form == "merged":
        return whole
    if form == "gguf":
        return 2 * whole
    layers = {layer.name for layer in chosen_layers(base.folder, vision=vision)}
    return whole + quantized_bytes(files, layers, SIZE_RATIO[form])


def _adapter(run: RunFolder, base: BaseCheckpoint, folder: Path) -> dict[str, Any]:
    if is_full(run.adapter):
        raise ExportError(f"{run.path}: trained in full, so there is no adapter; use --format merged")
    shutil.copyfile(run.adapter / SETTINGS, folder / SETTINGS)
    shutil.copyfile(run.adapter / WEIGHTS, folder / WEIGHTS)
    write_supporting_files(base.folder, base.processor, folder)
    if (run.adapter / METADATA_FILE).is_file():
        shutil.copyfile(run.adapter / METADATA_FILE, folder / METADATA_FILE)
    if json.loads((folder / SETTINGS).read_text(encoding="utf-8")).get("peft_type") == MOE_LORA:
        write_standalone_loader(folder)
    coverage = run.read_json("coverage.json") or []
    tower = any(row["matched"] and row["group"] in ("vision", "merger") for row in coverage)
    return {"method": "as PEFT saves it", "tower": tower}


def _merged(run: RunFolder, base: BaseCheckpoint, folder: Path) -> dict[str, Any]:
    """A checkpoint that was trained in full is copied: there is nothing to merge."""
    if is_full(run.adapter):
        for path in [*weight_files(run.adapter), run.adapter / CONFIG, run.adapter / INDEX]:
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        write_supporting_files(base.folder, base.processor, folder)
        return {"method": "trained in full"}
    changed = write_merged(base.folder, run.adapter, folder)
    write_supporting_files(base.folder, base.processor, folder)
    return {"changed parameters": len(changed)}


def _over_merged(
    run: RunFolder, base: BaseCheckpoint, folder: Path, make: Callable[[Path], Mapping[str, Any]]
) -> dict[str, Any]:
    """What `make` makes of the merged checkpoint, which is removed again."""
    merged = folder / ".merged"
    merged.mkdir()
    _merged(run, base, merged)
    made = dict(make(merged))
    shutil.rmtree(merged)
    return made


def _quantized(
    merged: Path,
    folder: Path,
    form: str,
    vision: bool,
    config: RunConfig,
    processor: Processor,
    rows: int,
    console: Console,
) -> dict[str, Any]:
    layers = chosen_layers(merged, vision=vision, multiple_of=NF4_WIDTH if form == "nf4" else 1)
    names = [layer.name for layer in layers]
    if not names:
        raise ExportError(
            f"--format {form}: no layer of this model is wide enough to be quantized; use --format merged"
        )
    replaced: Mapping = {}
    if form in CALIBRATED:
        codec, replaced = calibrated_codec(form, merged, names, config, processor, rows=rows, console=console)
    else:
        codec = {"nf4": nf4_codec, "int8": int8_codec, "fp8": fp8_codec}[form]()
    write_quantized(merged, folder, codec, set(names), replaced)
    write_supporting_files(merged, processor, folder)
    return {**codec.made, "quantized layers": len(names), "vision tower": "quantized" if vision else "16 bit"}


def _card(
    config: RunConfig, run: RunFolder, base: BaseCheckpoint, form: str, made: Mapping[str, Any], folder: Path
) -> ExportManifest:
    geometry = base.processor.geometry
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.gguf")]
    return ExportManifest(
        format=form,
        base=base.path,
        base_fingerprint=base.fingerprint,
        adapter=adapter_digest(run.adapter),
        family=base.processor.family.model_type,
        run=run.path.name,
        min_pixels=geometry.min_pixels,
        max_pixels=geometry.max_pixels,
        question=config.data.prompt,
        system=config.data.system_prompt,
        max_new_tokens=config.evaluate.max_new_tokens,
        made=made,
        sizes={
            "weights": sum(path.stat().st_size for path in weights),
            "base": sum(path.stat().st_size for path in weight_files(base.folder)),
        },
    )


def adapter_digest(folder: Path) -> str:
    """The sha256 of an adapter's weights; of a checkpoint trained in full, its fingerprint."""
    if is_full(folder):
        return fingerprint(folder)
    return sha256_of(folder / WEIGHTS)


def _checked(card: ExportManifest, aside: Path, output: Path, check: Check | None) -> ExportManifest:
    """The card with what the check found, written.

    Raises:
        ExportError: faults; the folder then lies at `OUTPUT.failed`.
    """
    _write_card(aside, card)
    if check is None:
        return card
    verdict = check(aside)
    card = card.with_verification(verdict.to_json())
    _write_card(aside, card)
    if verdict.faults:
        failed = output.with_name(f"{output.name}.failed")
        shutil.rmtree(failed, ignore_errors=True)
        os.replace(aside, failed)
        raise ExportError(
            f"{output}: the {card.format} artifact reads otherwise than the adapter ({'; '.join(verdict.faults)}); it "
            f"lies at {failed}, --tolerance or --no-verify lets it pass, --format int8 or merged loses less"
        )
    return card


def _keep_calibration(adapter: Path, folder: Path) -> None:
    """An artifact reads as its adapter does, so that the adapter's confidence holds for it too."""
    if calibration := read_metadata(adapter).get(KEY):
        write_json(folder / METADATA_FILE, {**read_metadata(folder), KEY: calibration})


def _write_card(folder: Path, card: ExportManifest) -> None:
    """Over what stands in the card: a calibration, and all of an adapter's own, so that it loads as one."""
    write_json(folder / METADATA_FILE, {**read_metadata(folder), **card.to_json()})
