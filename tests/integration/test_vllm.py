"""`texlens serve --engine vllm`, with a stub that accepts vLLM's arguments and answers like it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from openai import APIConnectionError, OpenAI

from tests.integration.conftest import copy_run, environment, run_quietly
from tests.unit.inference.shared_base import FULL, MOE_LORA, made_run
from texlens.core.run_folder import RunFolder

STUB = """#!{python}
import argparse, http.server, json, os
parser = argparse.ArgumentParser()
parser.add_argument("command", choices=["serve"])
parser.add_argument("model")
for name in ("--host", "--served-model-name", "--limit-mm-per-prompt", "--mm-processor-kwargs",
             "--generation-config", "--override-generation-config"):
    parser.add_argument(name, required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--enable-lora", action="store_true")
parser.add_argument("--enable-tower-connector-lora", action="store_true")
parser.add_argument("--max-loras", type=int)
parser.add_argument("--max-lora-rank", type=int, choices=(1, 8, 16, 32, 64, 128, 256, 320, 512))
parser.add_argument("--lora-modules", nargs="+", default=[])
arguments = parser.parse_args()
names = [arguments.served_model_name, *(module.split("=")[0] for module in arguments.lora_modules)]
with open({record!r}, "w") as file:
    json.dump(vars(arguments), file)

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        knows = self.headers.get("Authorization") == "Bearer " + os.environ.get("VLLM_API_KEY", "")
        body = json.dumps({{"object": "list", "data": [{{"id": name, "object": "model"}} for name in names]}}).encode()
        self.send_response(200 if knows else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer((arguments.host, arguments.port), Answers).serve_forever()
"""


@pytest.fixture
def record(tmp_path, monkeypatch) -> Path:
    """The file in which the stub of vLLM, first on the PATH, records its arguments."""
    folder, record = tmp_path / "bin", tmp_path / "arguments.json"
    folder.mkdir()
    (folder / "vllm").write_text(STUB.format(python=sys.executable, record=str(record)))
    (folder / "vllm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return record


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_vllm_is_started_with_valid_flags_and_answers_the_openai_client(trained, tmp_path, record):
    other, port = copy_run(trained, tmp_path / "runs" / "second"), free_port()
    command = [sys.executable, "-m", "texlens", "serve", str(trained), str(other), "--engine", "vllm"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--api-key-env", "KEY"], env={**environment(), "KEY": "secret"}
    )
    try:
        client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="secret", timeout=300)
        assert _models(client, server) == ["qwen3_vl", "tiny", "second"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(300) == -signal.SIGTERM
    finally:
        server.kill()
    arguments = json.loads(record.read_text())
    base = yaml.safe_load((trained / "config.yaml").read_text())["model"]["path"]
    assert (arguments["model"], arguments["host"], arguments["max_loras"], arguments["max_lora_rank"]) == (
        base,
        "127.0.0.1",
        2,
        8,
    )
    assert arguments["lora_modules"] == [f"{run.name}={RunFolder(run).adapter.resolve()}" for run in (trained, other)]
    assert arguments["enable_lora"]
    assert not arguments["enable_tower_connector_lora"]
    assert arguments["generation_config"] == "vllm"
    assert json.loads(arguments["override_generation_config"]) == {"temperature": 0.0}
    assert json.loads(arguments["limit_mm_per_prompt"]) == {"image": 1, "video": 0}
    metadata = json.loads((RunFolder(trained).adapter / "texlens.json").read_text())
    assert json.loads(arguments["mm_processor_kwargs"]) == {
        "min_pixels": metadata["min_pixels"],
        "max_pixels": metadata["max_pixels"],
        "size": {"shortest_edge": metadata["min_pixels"], "longest_edge": metadata["max_pixels"]},
    }
    assert "secret" not in record.read_text()


def _models(client: OpenAI, server: subprocess.Popen) -> list[str]:
    deadline = time.monotonic() + 300
    while True:
        try:
            return [model.id for model in client.models.list()]
        except APIConnectionError:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_command_is_printed_where_vllm_is_not_installed(texlens, trained, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("KEY", "secret")
    done = texlens("serve", trained, "--engine", "vllm", "--port", 9000, "--api-key-env", "KEY")

    words = done.out.split()
    assert done.code == 0
    assert words[1:3] == ["vllm", "serve"]
    assert "--enable-lora --max-loras 1 --max-lora-rank 8" in done.out
    assert "secret" not in done.out
    assert "vLLM is not installed" in done.err


@pytest.mark.parametrize(
    ("adapter", "reason"),
    [
        (MOE_LORA, "vLLM serves LoRA only, not MOE_LORA; use --engine transformers"),
        ({"rank": 2, "dora": True}, "vLLM does not support DoRA; merge it with `texlens export`"),
        ({"rank": 4, "modules_to_save": ["embed_tokens"]}, "vLLM does not support modules_to_save"),
    ],
)
def test_unsupported_adapter_is_refused_before_vllm_starts(adapter, reason, texlens, tmp_path, record):
    run = made_run(tmp_path, "run", "qwen3_vl", adapter)
    done = texlens("serve", run.path, "--engine", "vllm")

    assert (done.code, reason in done.complaint) == (2, True), done.complaint
    assert not record.exists()


VLLM_PYTHON = """#!{python}
import json, os, subprocess, sys
if sys.argv[1] == "-c":
    sys.exit({missing})
assert sys.argv[1:4] == ["-m", "vllm.entrypoints.cli.main", "serve"], sys.argv
with open({record!r}, "w") as file:
    json.dump({{"arguments": sys.argv[3:], "PYTHONPATH": os.environ.get("PYTHONPATH")}}, file)
"""


def write_python(folder: Path, record: Path, *, missing: bool) -> Path:
    """A stub of an interpreter, with or without vLLM."""
    path = folder / "python"
    path.write_text(VLLM_PYTHON.format(python=sys.executable, record=str(record), missing=missing))
    path.chmod(0o755)
    return path


def test_vllm_of_another_environment_is_started_by_its_own_interpreter(trained, tmp_path):
    record = tmp_path / "arguments.json"
    python = write_python(tmp_path, record, missing=False)
    command = [sys.executable, "-m", "texlens", "serve", str(trained), "--engine", "vllm", "--vllm-python", str(python)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    written = json.loads(record.read_text())
    assert written["arguments"][0] == "serve"
    assert "--enable-lora" in written["arguments"]
    assert written["PYTHONPATH"] is None


def test_interpreter_without_vllm_is_refused(texlens, trained, tmp_path):
    python = write_python(tmp_path, tmp_path / "arguments.json", missing=True)
    done = texlens("serve", trained, "--engine", "vllm", "--vllm-python", python)
    assert (done.code, "has no vLLM" in done.complaint) == (2, True), done.complaint
    missing = texlens("serve", trained, "--engine", "vllm", "--vllm-python", tmp_path / "nothing")
    assert (missing.code, "can't be run" in missing.complaint) == (2, True), missing.complaint
    unused = texlens("serve", trained, "--vllm-python", python)
    assert (unused.code, "needs --engine vllm" in unused.complaint) == (2, True), unused.complaint


def test_adapters_of_several_scales_and_on_stacked_experts_are_served(texlens, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    scales = {"rank": 4, "vision": {"rank": 2, "alpha": 32}}
    experts = {"rank": 2, "targets": ["text-attention"], "experts": "lora"}
    for name, family, adapter in (("a", "qwen3_vl", scales), ("b", "qwen3_vl_moe", experts)):
        run = made_run(tmp_path, name, family, adapter)
        done = texlens("serve", run.path, "--engine", "vllm")
        assert f"--lora-modules {name}=" in done.out, done.complaint


def test_vision_tower_adapter_gets_its_flag(texlens, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    run = made_run(tmp_path, "run", "qwen3_vl", {"rank": 2, "vision": {"rank": 2}})
    assert "--enable-tower-connector-lora --lora-modules run=" in texlens("serve", run.path, "--engine", "vllm").out


def test_run_trained_in_full_is_a_model_of_its_own(texlens, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    run = made_run(tmp_path, "run", "qwen3_vl", FULL)
    done = texlens("serve", run.path, "--engine", "vllm")
    assert done.out.startswith(f"vllm serve {run.adapter} --host 127.0.0.1 --port 8000 --served-model-name run ")
    assert "lora" not in done.out


def test_exported_folder_is_served_with_its_pixel_budget(texlens, trained, tmp_path, monkeypatch):
    folder = tmp_path / "merged"
    run_quietly(["export", str(trained), "--no-verify", "-o", str(folder)])
    monkeypatch.setenv("PATH", "")
    done = texlens("serve", folder, "--engine", "vllm")
    assert done.out.startswith(f"vllm serve {folder} ")
    assert '"longest_edge": 24576' in done.out
