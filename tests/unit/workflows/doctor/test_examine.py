from texlens.models.bundled import NANO_FOLDER
from texlens.workflows.doctor import machine
from texlens.workflows.doctor.examine import NANO_SHA256, examine


def test_the_recorded_checksum_is_that_of_the_shipped_weights():
    assert machine.weights_sha256(NANO_FOLDER / "model.safetensors") == NANO_SHA256


def test_this_machine_passes_and_the_shipped_model_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    checks = {check.name: check for check in examine(tmp_path / "runs")}
    assert {check.status for check in checks.values()} <= {"ok", "info", "warn"}
    assert checks["reading"].status == "ok"
    assert checks["hub"].reason.startswith("HF_HUB_OFFLINE is set")
    assert {"torch", "transformers", "peft", "numpy with pyarrow", "gpu", "disk", "tokens", "runs"} <= checks.keys()
