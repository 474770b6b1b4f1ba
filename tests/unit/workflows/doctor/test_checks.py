import pytest

from texlens.workflows.doctor.checks import (
    Check,
    GpuState,
    check_capability,
    check_cjk_font,
    check_disk,
    check_gpu,
    check_gpu_memory,
    check_hub,
    check_import,
    check_optional,
    check_output,
    check_package,
    check_python,
    check_reading,
    check_tokens,
    check_weights,
    conclusion,
)

GPU = ("NVIDIA L4",)


@pytest.mark.parametrize(
    ("gpu", "status", "message"),
    [
        (GpuState(GPU, "580.1", "2.13.0", "13.0", True), "ok", "uses NVIDIA L4"),
        (GpuState(GPU, "580.1", "2.13.0+cpu", None, False), "warn", "a build for CPUs"),
        (GpuState(GPU, "535.54", "2.13.0", "13.0", False), "warn", "driver 535.54 is too old for CUDA 13.0"),
        (GpuState(GPU, "580.1", "2.13.0", "13.0", False), "warn", "can't open it"),
        (GpuState((), None, "2.13.0", "13.0", False), "ok", "a build for CUDA, which works on the CPU"),
        (GpuState((), None, "2.13.0+cpu", None, False), "ok", "fine for the shipped model"),
    ],
)
def test_gpu_driver_and_torch_are_judged_together(gpu, status, message):
    check = check_gpu(gpu)
    assert check.status == status
    assert message in check.reason
    assert (check.remedy is None) == (status == "ok")


def gpu_with(capability, memory=(20.0, 22.0)):
    return GpuState(GPU, "580.1", "2.13.0", "13.0", True, capability, memory)


def test_a_gpu_before_ampere_has_no_bfloat16():
    check = check_capability(gpu_with((7, 5)))
    assert check is not None
    assert (check.status, check.remedy) == ("warn", "use --set train.compute.backend=plain, or a GPU from Ampere on")


def test_fp8_begins_with_ada():
    a100, l4 = check_capability(gpu_with((8, 0))), check_capability(gpu_with((8, 9)))
    assert a100 is not None
    assert l4 is not None
    assert a100.reason.endswith("bfloat16 but no fp8")
    assert l4.reason.endswith("bfloat16 and fp8")


def test_memory_that_others_hold_is_reported():
    check = check_gpu_memory(gpu_with((8, 9), (3.0, 22.0)))
    assert check is not None
    assert check.status == "warn"
    assert check.reason == "3.0 of 22.0 GiB free: other programs hold the rest"


def test_without_a_gpu_no_check_of_it_is_made():
    gpu = GpuState((), None, "2.13.0+cpu", None, False)
    assert check_capability(gpu) is None
    assert check_gpu_memory(gpu) is None


def test_an_old_python_fails():
    assert check_python((3, 10, 2)).status == "fail"
    assert check_python((3, 11, 0)).status == "ok"


def test_a_package_outside_of_its_range_comes_with_the_command():
    check = check_package("peft", ">=0.21", "0.17.0", inside=False)
    assert (check.status, check.remedy) == ("fail", "pip install 'peft>=0.21'")
    assert check_package("peft", ">=0.21", None, inside=False).reason == "not installed"


def test_a_broken_package_fails_only_where_it_is_needed():
    assert check_import("numpy with pyarrow", "numpy.core.multiarray failed", "pip …", needed=True).status == "fail"
    assert check_import("torchvision", "undefined symbol", "pip …", needed=False).status == "warn"


def test_a_missing_optional_package_is_not_called_ok():
    missing = check_optional("bitsandbytes", "4-bit bases", False, needed=False)
    assert missing is not None
    assert (missing.status, missing.reason) == ("info", "not installed; needed for 4-bit bases")
    needed = check_optional("bitsandbytes", "4-bit bases", False, needed=True)
    assert needed is not None
    assert needed.status == "warn"
    assert check_optional("bitsandbytes", "4-bit bases", True, needed=True) is None


def test_credentials_in_the_endpoint_are_never_shown():
    check = check_hub("https://me:secret@hub.example/x", None, None)
    assert check.reason == "https://…@hub.example/x answers"
    assert "secret" not in str(check_hub("https://me:secret@hub.example/x", None, "timed out"))


@pytest.mark.parametrize(
    ("statuses", "line"),
    [
        (["ok", "info"], "TexLens works here"),
        (["ok", "warn"], "TexLens works here, with limits: b"),
        (["fail", "warn"], "TexLens can't work here until this is fixed: a"),
    ],
)
def test_conclusion_names_what_needs_attention(statuses, line):
    assert conclusion([Check(name, status, "") for name, status in zip("ab", statuses, strict=True)]) == line


def test_a_full_disk_warns():
    assert check_disk("/home", 3.2).status == "warn"


def test_offline_is_not_a_fault_and_a_silent_hub_is_one():
    assert check_hub("https://hub", "HF_HUB_OFFLINE", None).status == "ok"
    assert check_hub("https://hub", None, "timed out").status == "warn"


def test_tokens_are_named_and_never_shown():
    check = check_tokens({"HF_TOKEN": "hf_secret", "WANDB_API_KEY": ""})
    assert check.reason == "set: HF_TOKEN"


def test_a_folder_that_can_t_be_written_fails():
    assert check_output("/runs", "Permission denied").status == "fail"


def test_a_wrong_reading_or_damaged_weights_fail():
    assert check_reading("x ^ 2", "x _ 2", 1.0).status == "fail"
    assert check_weights("ab" * 32, "cd" * 32).status == "fail"
    assert check_weights("ab" * 32, None).reason == "its weights are missing"


def test_a_missing_cjk_font_is_an_information_with_its_package():
    assert check_cjk_font(True).status == "ok"
    missing = check_cjk_font(False)
    assert missing.status == "info"
    assert "fonts-noto-cjk" in missing.remedy
