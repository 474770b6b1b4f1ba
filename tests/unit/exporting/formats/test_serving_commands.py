import json
import shlex
from dataclasses import replace

import pytest

from texlens.exporting.formats.serving_commands import checkpoint_commands, checkpoint_loading_code
from texlens.models.export_manifest import ExportManifest


@pytest.fixture
def manifest() -> ExportManifest:
    return ExportManifest(
        format="merged",
        base="Qwen/Qwen3-VL-4B-Instruct",
        base_fingerprint="f" * 64,
        adapter="a" * 64,
        family="qwen3_vl",
        run="x",
        min_pixels=65536,
        max_pixels=1048576,
        prompt='Read the "formula".',
        system_prompt=None,
        max_new_tokens=256,
    )


def test_every_server_has_a_command(manifest, tmp_path):
    programs = [command.program for command in checkpoint_commands(manifest, tmp_path)]
    assert programs == ["vLLM", "SGLang", "TGI"]


def test_vllm_decodes_greedily_at_the_pixel_budget_of_training(manifest, tmp_path):
    command = shlex.split(checkpoint_commands(manifest, tmp_path)[0].command)
    options = dict(zip(command[3::2], command[4::2], strict=True))
    assert command[:3] == ["vllm", "serve", str(tmp_path)]
    assert options["--generation-config"] == "vllm"
    assert json.loads(options["--override-generation-config"]) == {"temperature": 0.0}
    assert json.loads(options["--mm-processor-kwargs"])["max_pixels"] == 1048576


def test_sglang_reads_generation_config_json(manifest, tmp_path):
    command = shlex.split(checkpoint_commands(manifest, tmp_path)[1].command)
    assert command[command.index("--sampling-defaults") + 1] == "model"
    images = json.loads(command[command.index("--mm-process-config") + 1])
    assert images == {"image": {"min_pixels": 65536, "max_pixels": 1048576}}


def test_the_tgi_command_names_the_temperature_that_requests_need(manifest, tmp_path):
    assert checkpoint_commands(manifest, tmp_path)[2].command.endswith('# requests need "temperature": 0')


def test_the_loading_code_is_valid_python(manifest):
    code = checkpoint_loading_code(manifest, "out")
    compile(code, "README.md", "exec")
    assert "decodes as generation_config.json says: greedily" in code
    assert '"Read the \\"formula\\"."' in code


def test_families_that_think_are_asked_not_to(manifest, tmp_path):
    manifest = replace(manifest, family="qwen3_5")
    vllm, sglang, _ = (command.command for command in checkpoint_commands(manifest, tmp_path))
    options = shlex.split(vllm)
    assert json.loads(options[options.index("--default-chat-template-kwargs") + 1]) == {"enable_thinking": False}
    assert sglang.endswith('# requests need "chat_template_kwargs": {"enable_thinking": false}')
    assert 'return_tensors="pt", enable_thinking=False' in checkpoint_loading_code(manifest, "folder")


def test_families_that_do_not_think_have_no_such_flag(manifest, tmp_path):
    assert "chat-template" not in checkpoint_commands(manifest, tmp_path)[0].command
