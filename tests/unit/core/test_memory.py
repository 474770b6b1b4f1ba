import os
import platform
from pathlib import Path

import pytest

from texlens.core.memory import return_freed_memory

BLOCK, BLOCKS = 100_000, 1_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_blocks_between_kept_ones_go_back_to_the_system():
    blocks = [bytearray(os.urandom(16) * (BLOCK // 16)) for _ in range(BLOCKS)]
    kept = blocks[::50]
    blocks.clear()
    before = resident_bytes()
    assert return_freed_memory()
    assert before - resident_bytes() > BLOCK * BLOCKS // 2
    assert len(kept) == BLOCKS // 50


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert return_freed_memory() is False
