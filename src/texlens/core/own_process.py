"""Commands that start processes of this package, without the current folder among the places of modules: its files may
be a stranger's."""

import sys


def module_command(module: str, *arguments: str) -> list[str]:
    """`python -m module`."""
    return [sys.executable, "-P", "-m", module, *arguments]


def code_command(code: str, *arguments: str) -> list[str]:
    """`python -c code`."""
    return [sys.executable, "-P", "-c", code, *arguments]
