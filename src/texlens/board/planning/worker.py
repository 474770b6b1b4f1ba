"""Plans and previews in a process of its own, which imports torch once; it ends with the board.

Lines of JSON: `{"task": "plan", "values": {...}, "gpu": "h200"}` in, `{"result": {...}}` or `{"error": "…"}` out.
Run as `python -m texlens.board.planning.worker`.
"""

import json
import os
import sys
from typing import IO, Any

from rich.console import Console

from texlens.board.planning.form import config_of_tree
from texlens.board.planning.preview import preview_rows
from texlens.core.errors import TexlensError, one_line
from texlens.workflows.run_cost import plan_with_cost


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """
    Raises:
        TexlensError: settings that could not be trained, or no such data.
    """
    config = config_of_tree(request["values"])
    if request["task"] == "rows":
        return preview_rows(config, int(request.get("start") or 0), int(request.get("count") or 6))
    return plan_with_cost(config, request.get("gpu") or None, 1, Console(stderr=True, quiet=True)).to_json()


def serve_lines(source: IO[str], sink: IO[str]) -> None:
    """Until `source` ends, as it does when the board is gone."""
    for line in source:
        try:
            response = {"result": answer(json.loads(line))}
        except TexlensError as error:
            response = {"error": one_line(error)}
        except Exception as error:  # noqa: BLE001 - one bad request must not end the process; the board reports it
            response = {"error": f"the plan failed: {type(error).__name__}: {one_line(error, 300)}"}
        sink.write(json.dumps(response) + "\n")
        sink.flush()


def main() -> None:
    """Libraries may print; what they print goes to standard error, never between the answers."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve_lines(sys.stdin, answers)


if __name__ == "__main__":
    main()
