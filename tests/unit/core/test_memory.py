import platform
import subprocess
import sys

import pytest

from texlens.core.memory import keep_large_blocks_apart

GAPS = """
import ctypes, os, sys
from pathlib import Path
from texlens.core.memory import keep_large_blocks_apart

if sys.argv[1] == "apart":
    assert keep_large_blocks_apart(1 << 20)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes, libc.memset.argtypes = (
    ctypes.c_void_p, [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
)

def block(size):
    made = libc.malloc(size)
    libc.memset(made, 1, size)
    return made

libc.free(block(30 << 20))  # from now on glibc takes blocks of this size into its heap
large = []
for _ in range(8):
    large.append(block(20 << 20))
    block(1 << 19)  # and this one stays behind it
for one in large:
    libc.free(one)
pages = int(Path("/proc/self/statm").read_text().split()[1])
print(pages * os.sysconf("SC_PAGE_SIZE") >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_large_blocks_go_back_to_the_system_also_from_between_others():
    in_heap, apart = (
        int(subprocess.run([sys.executable, "-c", GAPS, how], capture_output=True, check=True, timeout=300).stdout)
        for how in ("heap", "apart")
    )
    assert in_heap - apart > 100


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert keep_large_blocks_apart() is False
