"""The end of a process that belonged to a group. Loads no torch.

Threads of gloo hold the tensors of a collective until shortly after it is done, and need Python to drop them. Whatever
keeps the group keeps these threads (FSDP's mesh does, after `destroy_process_group` too), and a thread that asks for
Python while the interpreter shuts down aborts the process: exit code 134, "terminate called without an active
exception", with all files written. So such a process ends without the interpreter's shutdown.
"""

import atexit
import os
import sys
import threading
from collections.abc import Mapping


def is_launched_process(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher started this process together with others."""
    return "RANK" in environment and int(environment.get("WORLD_SIZE") or 1) > 1


def end_process(code: int = 0) -> None:
    """Ends this process: other threads are waited for and exit functions run, as at any end, then nothing else.

    `multiprocessing` ends its processes in the same way.
    """
    threading._shutdown()  # pyrefly: ignore[missing-attribute]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
