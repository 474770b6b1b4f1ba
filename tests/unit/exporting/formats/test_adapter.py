import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from texlens.adapters.lora import SETTINGS, WEIGHTS
from texlens.exporting.formats.adapter import ADAPTER
from texlens.models.bundled import NANO_FOLDER
from texlens.models.export_manifest import ExportManifest


def manifest(job) -> ExportManifest:
    base = str(job.base.folder)
    return ExportManifest("adapter", base, "f", "a", "qwen3_vl", "tiny", 2048, 24576, "Read.", None, 8, reader="peft")


def test_the_adapter_is_copied_byte_for_byte(job):
    ADAPTER.write(job)
    for name in (SETTINGS, WEIGHTS):
        assert (job.folder / name).read_bytes() == (job.run.adapter / name).read_bytes()
    assert json.loads((job.folder / "generation_config.json").read_text())["do_sample"] is False


def test_vllm_loads_it_on_the_base_and_decodes_greedily(job):
    ADAPTER.write(job)
    (command,) = ADAPTER.serving_commands(manifest(job), job.folder, job.folder)
    for part in (f"vllm serve {job.base.folder}", f"tiny={job.folder}", "--max-lora-rank 8", '{"temperature": 0.0}'):
        assert part in command.command


def test_an_adapter_that_vllm_does_not_support_has_no_command(job):
    ADAPTER.write(job)
    settings = json.loads((job.folder / SETTINGS).read_text())
    (job.folder / SETTINGS).write_text(json.dumps({**settings, "use_dora": True}))
    assert ADAPTER.serving_commands(manifest(job), job.folder, job.folder) == []


def test_the_loading_code_takes_the_folder_s_decoding(job):
    code = ADAPTER.loading_code(manifest(job), "out")
    compile(code, "README.md", "exec")
    assert 'GenerationConfig.from_pretrained("out")' in code
    assert "tokens = model.generate(**inputs)  # decodes as generation_config.json says: greedily" in code


def test_the_bundled_base_is_found_by_the_package_and_no_path_of_this_machine_is_written(job):
    of_nano = replace(manifest(job), base="nano")
    code = ADAPTER.loading_code(of_nano, "out")
    compile(code, "README.md", "exec")
    assert 'from_pretrained(NANO_FOLDER, dtype="auto"' in code
    ADAPTER.write(job)
    (command,) = ADAPTER.serving_commands(of_nano, Path("out"), job.folder)
    assert str(NANO_FOLDER) not in code + command.command
    shell = re.search(r'"\$\((.*?)\)" --', command.command)
    assert shell
    python = shell[1].replace("python", sys.executable, 1)
    printed = subprocess.run(["sh", "-c", python], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(NANO_FOLDER)
