"""Complete exports of tiny runs: every format, the content of the folder, and what remains after a failure."""

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.fixtures.tiny_models import FAMILY_NAMES
from tests.unit.exporting.conftest import write_run
from texlens.core.errors import ExportError, ModelError
from texlens.evaluation.evaluation_rows import read_rows
from texlens.evaluation.saved_run import open_run
from texlens.exporting.formats import protocol
from texlens.exporting.pipeline import export_run
from texlens.inference.confidence import Calibration, read_calibration
from texlens.inference.open import open_model
from texlens.inference.opening.source import resolve_run_base
from texlens.models.checkpoint import read_config
from texlens.models.export_manifest import ExportManifest
from texlens.models.load import load_model
from texlens.workflows.calibrate import store_calibration
from texlens.workflows.verify import verify

LIBRARIES = {
    "nf4": "bitsandbytes",
    "int8": "bitsandbytes",
    "fp8": "compressed_tensors",
    "gptq": "compressed_tensors",
    "awq": "compressed_tensors",
    "gguf": "gguf",
    "gguf-f16": "gguf",
}
"""The package that a format needs."""
RELATIVE = {"nf4": 0.7, "int8": 0.1, "fp8": 0.3, "gptq": 0.8, "awq": 0.8}
"""How far the logits of a tiny random model may move, relative to their size."""


def exported(run, output: Path, format_name: str, console, **options):
    config, folder = open_run(run.path)
    return export_run(config, folder, output, format_name, console=console, **options)


def needs(format_name: str) -> None:
    if format_name in LIBRARIES and find_spec(LIBRARIES[format_name]) is None:
        pytest.skip(f"{LIBRARIES[format_name]} is not installed")


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(5, 45)[None]).logits


@pytest.mark.parametrize(
    ("format_name", "family"),
    [
        *(("fp8", family) for family in FAMILY_NAMES),
        ("nf4", "qwen2_vl"),
        ("int8", "qwen2_5_vl"),
        ("gptq", "qwen3_vl"),
        ("gptq", "qwen3_5"),
        ("awq", "qwen2_vl"),
    ],
)
def test_logits_of_a_quantized_folder_are_close_to_those_of_the_merged_one(tmp_path, quiet, format_name, family):
    needs(format_name)
    run = write_run(tmp_path, family)
    exported(run, tmp_path / "merged", "merged", quiet)
    result = exported(run, tmp_path / "out", format_name, quiet, calibration_rows=2)
    expected, actual = logits(load_model(tmp_path / "merged")), logits(load_model(tmp_path / "out"))
    # The norms in delta nets amplify the errors of random weights.
    limit = RELATIVE[format_name] * (1.5 if family == "qwen3_5" else 1)
    assert 0 < (actual - expected).norm() / expected.norm() < limit
    assert result.manifest.notes["quantized layers"] > 0
    assert result.manifest.sizes["weights"] < result.manifest.sizes["base"]


@pytest.mark.parametrize("format_name", ["nf4", "fp8"])
def test_the_vision_tower_is_not_quantized_by_default(tmp_path, quiet, format_name):
    needs(format_name)
    run = write_run(tmp_path)
    exported(run, tmp_path / "out", format_name, quiet, calibration_rows=2)
    stored, base = load_file(tmp_path / "out/model.safetensors"), load_file(tmp_path / "base/model.safetensors")
    tower = [name for name in base if ".visual." in name]
    assert tower
    assert all(torch.equal(stored[name], base[name]) for name in tower)
    kinds = {type(part).__name__ for name, part in load_model(tmp_path / "out").named_modules() if "visual" in name}
    assert not {"Linear4bit", "Linear8bitLt"} & kinds


def test_the_vision_tower_is_quantized_on_request(tmp_path, quiet):
    needs("fp8")
    run = write_run(tmp_path)
    exported(run, tmp_path / "out", "fp8", quiet, quantize_vision=True)
    stored = load_file(tmp_path / "out/model.safetensors")
    assert stored["model.visual.blocks.0.attn.qkv.weight"].dtype is torch.float8_e4m3fn
    assert stored["model.visual.merger.linear_fc1.weight"].dtype is torch.float8_e4m3fn


def test_shards_and_their_index_keep_their_names(tmp_path, quiet):
    run = write_run(tmp_path, shards=True)
    exported(run, tmp_path / "out", "merged", quiet)
    names = sorted(path.name for path in (tmp_path / "base").glob("*.safetensors"))
    assert len(names) > 2
    assert sorted(path.name for path in (tmp_path / "out").glob("*.safetensors")) == names
    index = "model.safetensors.index.json"
    assert (tmp_path / "out" / index).read_text() == (tmp_path / "base" / index).read_text()


def test_the_index_of_a_quantized_folder_lists_its_tensors(tmp_path, quiet):
    needs("fp8")
    run = write_run(tmp_path, shards=True)
    exported(run, tmp_path / "out", "fp8", quiet)
    weight_map = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())["weight_map"]
    stored = {name: path.name for path in (tmp_path / "out").glob("*.safetensors") for name in load_file(path)}
    assert weight_map == stored


@pytest.mark.parametrize("format_name", ["adapter", "merged"])
def test_an_artifact_is_verified_and_described(tmp_path, quiet, format_name):
    run = write_run(tmp_path)
    config, folder = open_run(run.path)

    def check(exported_folder):
        return verify(config, folder, exported_folder, rows=3, console=quiet)

    result = export_run(config, folder, tmp_path / "out", format_name, check=check, console=quiet)
    manifest = ExportManifest.read(tmp_path / "out")
    assert manifest == result.manifest
    assert manifest.format == format_name
    assert manifest.base_fingerprint
    assert manifest.verified["rows"] == 3
    assert manifest.verified["same_texts"] == 3
    assert manifest.verified["first_token"]["kl_mean"] < 1e-6
    readme = (tmp_path / "out/README.md").read_text()
    assert "3 texts are the same" in readme
    assert result.commands[0].command in readme
    assert f'"max_pixels": {manifest.max_pixels}' in result.commands[0].command
    assert (tmp_path / "out/chat_template.jinja").is_file()
    assert (tmp_path / "out/generation_config.json").is_file()
    size = json.loads((tmp_path / "out/preprocessor_config.json").read_text())["size"]
    assert size == {"longest_edge": manifest.max_pixels, "shortest_edge": manifest.min_pixels}


@pytest.mark.parametrize("format_name", ["adapter", "merged"])
def test_the_adapter_s_calibration_is_copied(tmp_path, quiet, format_name):
    run = write_run(tmp_path)
    calibration = Calibration(1.5, 0.2, 0.1, 40, 20, "rows")
    store_calibration(run.adapter, calibration)
    exported(run, tmp_path / "out", format_name, quiet)
    assert read_calibration(tmp_path / "out") == calibration
    assert ExportManifest.read(tmp_path / "out").format == format_name


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_logits_of_a_gguf_in_16_bits_are_those_of_the_adapter(tmp_path, quiet, family, monkeypatch):
    """In 8 bits the router of a tiny mixture sometimes chooses other experts."""
    needs("gguf")
    if find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed")
    monkeypatch.setattr("texlens.exporting.gguf.tensors.BLOCK", 7919)
    run = write_run(tmp_path, family)
    config, folder = open_run(run.path)
    export_run(config, folder, tmp_path / "out", "gguf", console=quiet)
    base = resolve_run_base(config, folder).base
    samples = read_rows(config, "test", base).samples[:2]
    expected = open_model(folder.adapter, config=config).next_token_logits(samples)
    actual = open_model(tmp_path / "out", config=config).next_token_logits(samples)
    assert (actual - expected).norm() / expected.norm() < 0.02


def test_an_artifact_with_other_predictions_is_kept_as_failed(tmp_path, quiet):
    run = write_run(tmp_path, size=0.3)
    config, folder = open_run(run.path)

    def check(exported_folder):
        weights = exported_folder / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-40_000:] = b"\x3e" * 40_000
        weights.write_bytes(data)
        return verify(config, folder, exported_folder, rows=3, console=quiet)

    with pytest.raises(ExportError, match=r"gives other predictions than the adapter .*--tolerance"):
        export_run(config, folder, tmp_path / "out", "merged", check=check, console=quiet)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.failed/texlens.json").is_file()
    assert not list(tmp_path.glob(".out*"))


def test_a_base_with_another_fingerprint_is_refused(tmp_path, quiet):
    run = write_run(tmp_path)
    metadata = json.loads((run.adapter / "texlens.json").read_text())
    (run.adapter / "texlens.json").write_text(json.dumps(metadata | {"base_fingerprint": "0" * 64}))
    with pytest.raises(ModelError, match="belongs to another base"):
        exported(run, tmp_path / "out", "merged", quiet)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_replaced_only_with_force(tmp_path, quiet):
    run = write_run(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").write_text("x")
    with pytest.raises(ExportError, match=r"exists already; --force"):
        exported(run, tmp_path / "out", "merged", quiet)
    assert (tmp_path / "out/precious").read_text() == "x"
    exported(run, tmp_path / "out", "merged", quiet, force=True)
    assert not (tmp_path / "out/precious").exists()
    assert (tmp_path / "out/model.safetensors").is_file()


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path, quiet, monkeypatch):
    run = write_run(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(ExportError, match=r"needs .* while it is written, 1 MiB are free"):
        exported(run, tmp_path / "out", "merged", quiet)
    assert not list(tmp_path.glob("*out*"))


def test_a_failure_leaves_no_files(tmp_path, quiet, monkeypatch):
    run = write_run(tmp_path)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(protocol, "write_supporting_files", full)
    with pytest.raises(OSError, match="No space left"):
        exported(run, tmp_path / "out", "merged", quiet)
    assert not list(tmp_path.glob("*out*"))


KILLED = """
import os, signal, sys
from pathlib import Path
from rich.console import Console
from texlens.evaluation.evaluation_rows import read_rows
from texlens.evaluation.saved_run import open_run
from texlens.exporting.formats import protocol
from texlens.exporting.pipeline import export_run
number = getattr(signal, sys.argv[3])
protocol.write_supporting_files = lambda *_: os.kill(os.getpid(), number)
config, folder = open_run(Path(sys.argv[1]))
export_run(config, folder, Path(sys.argv[2]), "merged", console=Console(quiet=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_killed_export_leaves_no_incomplete_folder(tmp_path, quiet, name):
    run = write_run(tmp_path)
    command = [sys.executable, "-c", KILLED, str(run.path), str(tmp_path / "out"), name]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGTERM), done.stderr
    assert not (tmp_path / "out").exists()
    left = list(tmp_path.glob(".out*"))
    assert not left if name == "SIGTERM" else left
    exported(run, tmp_path / "out", "merged", quiet)
    assert not list(tmp_path.glob(".out*"))
    assert (tmp_path / "out/model.safetensors").is_file()


STOCK = """
import sys
sys.modules["texlens"] = None
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
assert tokenizer.chat_template
with torch.no_grad():
    torch.save(model(input_ids=torch.arange(5, 45)[None]).logits, sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["merged", "nf4", "gptq"])
def test_the_folder_loads_in_stock_transformers_without_texlens(tmp_path, quiet, format_name):
    needs(format_name)
    run = write_run(tmp_path)
    exported(run, tmp_path / "out", format_name, quiet, calibration_rows=2)
    command = [sys.executable, "-c", STOCK, str(tmp_path / "out"), str(tmp_path / "logits.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stock = torch.load(tmp_path / "logits.pt", weights_only=True)
    torch.testing.assert_close(stock, logits(load_model(tmp_path / "out")), rtol=1e-3, atol=1e-3)


def test_a_missing_package_is_reported_with_the_command_that_installs_it(tmp_path, quiet, monkeypatch):
    run = write_run(tmp_path)
    monkeypatch.setattr("texlens.exporting.quantization.codec.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"needs the package compressed-tensors; pip install 'texlens\[export\]'"):
        exported(run, tmp_path / "out", "fp8", quiet)
    assert not list(tmp_path.glob("*out*"))


def test_the_config_describes_the_quantization(tmp_path, quiet):
    needs("fp8")
    run = write_run(tmp_path)
    exported(run, tmp_path / "out", "fp8", quiet)
    settings = read_config(tmp_path / "out")["quantization_config"]
    assert settings["format"] == "float-quantized"
    assert "lm_head" in settings["ignore"]
    assert not os.path.exists(tmp_path / "out/.merged")


def test_awq_of_norms_that_multiply_by_one_plus_weight_is_refused(tmp_path, quiet):
    needs("awq")
    run = write_run(tmp_path, "qwen3_5")
    with pytest.raises(ExportError, match=r"those of Qwen3\.5 multiply by 1 \+ weight; use --format fp8"):
        exported(run, tmp_path / "out", "awq", quiet, calibration_rows=1)
