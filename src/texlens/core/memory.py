"""Memory of this process."""

import ctypes
import sys

LARGE_BYTES = 12 * 2**20
M_MMAP_THRESHOLD = -3
"""What malloc.h calls it."""


def keep_large_blocks_apart(at_least: int = LARGE_BYTES) -> bool:
    """Lets blocks of this many bytes go back to the operating system as soon as they are freed, for the life of this
    process; False where the C library has no such setting (glibc has).

    glibc keeps them in its heap otherwise, and tensors of ever other sizes leave it full of gaps: reading images in
    batches of 16, the resident set grew from 710 to 860 MiB with 184 MiB in use; so it stays between 604 and 683,
    at 0.9 of the speed (2 cores, 2026-11-21; benchmarks/results/reading_cpu_2026-11-21.json).
    """
    if not sys.platform.startswith("linux"):
        return False
    setting = getattr(ctypes.CDLL(None), "mallopt", None)
    return setting is not None and bool(setting(M_MMAP_THRESHOLD, at_least))
