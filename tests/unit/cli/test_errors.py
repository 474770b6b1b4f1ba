import errno

import pytest
import torch
from safetensors import SafetensorError

from texlens.cli.errors import as_run_errors, explain
from texlens.core.errors import RunError


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "/runs/a: No space left on device; make room there"),
        (errno.EACCES, "/runs/a: Permission denied; change the rights of that folder"),
        (errno.EROFS, "/runs/a: Read-only file system; change the rights of that folder"),
        (errno.ENOTDIR, "/runs/a: Not a directory; check the path"),
        (errno.EMFILE, "/runs/a: Too many open files; close other programs"),
    ],
)
def test_what_the_file_system_refuses_is_reported_with_file_and_remedy(number, message):
    assert explain(OSError(number, "whatever", "/runs/a")).startswith(message)


def test_a_fault_without_a_file_is_reported_without_one():
    assert explain(OSError(errno.ENOSPC, "whatever")).startswith("No space left on device; make room")


def test_a_full_disk_is_found_in_the_text_of_safetensors():
    error = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert explain(error).startswith("No space left on device; make room")


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "gone", "x"), OSError("no number"), SafetensorError("invalid header")]
)
def test_other_errors_are_bugs(error):
    assert explain(error) is None


def test_where_several_train_a_full_disk_is_an_error_of_the_run_and_others_stay_as_they_are():
    with pytest.raises(RunError, match="No space left on device; make room there"), as_run_errors():
        raise OSError(errno.ENOSPC, "whatever", "runs/a")
    with pytest.raises(BrokenPipeError), as_run_errors():
        raise BrokenPipeError(errno.EPIPE, "closed")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("malloc of size 9 failed"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB; malloc of size 9 failed"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:9] DefaultCPUAllocator: malloc of size 9 failed"),
    ],
)
def test_too_little_memory_is_one_line(error):
    message = r"^too little memory; close other programs.*malloc of size 9 failed\)$"
    with pytest.raises(RunError, match=message), as_run_errors():
        raise error


def test_other_errors_of_torch_are_bugs():
    with pytest.raises(RuntimeError, match="shape"), as_run_errors():
        raise RuntimeError("shape '[3]' is invalid")


def chained(message):
    try:
        try:
            raise RuntimeError(message)
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'PreTrainedModel'.") from error
    except ModuleNotFoundError as error:
        return error


def test_a_torchvision_that_does_not_fit_torch_is_one_line(monkeypatch):
    monkeypatch.setattr("texlens.cli.errors.metadata.version", {"torchvision": "0.1", "torch": "2.13"}.__getitem__)
    with (
        pytest.raises(
            RunError, match=r"torchvision 0\.1 with torch 2\.13: they don't fit; pip uninstall -y torchvision"
        ),
        as_run_errors(),
    ):
        raise chained("operator torchvision::nms does not exist")


def test_other_import_errors_are_bugs():
    with pytest.raises(ModuleNotFoundError), as_run_errors():
        raise chained("no module named x")
