"""transformers 4.57 next to the installed version 5: an import path that is put in front of this environment's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("transformers==4.57.3", "huggingface_hub==0.36.0", "tokenizers==0.22.1")
"""Installed without dependencies; torch and the rest come from this environment."""


def transformers_4(cache: pytest.Cache) -> Path:
    """The folder with the packages, downloaded on first use; the test is skipped without a network."""
    folder = Path(cache.mkdir("transformers-4.57.3"))
    if not (folder / "done").is_file():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *PACKAGES]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if result.returncode:
            pytest.skip(f"transformers 4.57 can't be downloaded: {result.stderr.strip().splitlines()[-1]}")
        (folder / "done").touch()
    return folder


def run_with(folder: Path, program: str, *arguments: str) -> str:
    """Standard output of a program that imports transformers 4.57."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout
