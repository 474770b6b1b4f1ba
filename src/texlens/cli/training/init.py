"""`texlens init`"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from texlens.cli.shared import Json, message_console, print_json, result_console

if TYPE_CHECKING:
    from texlens.planner.gpus import Gpu

Ask = Callable[[str, str], str]
"""A question and its default to the answer."""


def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE.yaml]", help="The run file to write.")] = Path("run.yaml"),
    data: Annotated[str | None, typer.Option(help="A folder, a file, a hub id, or demo.")] = None,
    subset: Annotated[str | None, typer.Option(help="The data set's configuration, such as small.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A folder, a hub id or nano; default: the largest that fits the GPU.")
    ] = None,
    goal: Annotated[str | None, typer.Option(help="formulas, handwriting, captions or text.")] = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="GPU", help="h200, rtx4090, …, none; default: this machine's.")
    ] = None,
    memory_gib: Annotated[
        float | None, typer.Option("--memory-gib", metavar="GIB", min=0, help="Memory of the GPU; 0 is no GPU.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    as_json: Json = False,
) -> None:
    """Write a run file for your data and GPU, a reason in every line, and say what the run will cost.

    In a terminal it asks what the options leave open.

    Examples:

        texlens init mine.yaml --data demo --model nano

        texlens init --data linxy/LaTeX_OCR --subset small --memory-gib 8 --goal handwriting
    """
    from texlens.core.errors import ConfigError
    from texlens.core.files import write_text
    from texlens.workflows.init.run_file import Wishes, new_run

    if file.exists() and not force:
        raise ConfigError(f"{file}: exists already; choose another name, or --force replaces it")
    ask = _ask_in_terminal if sys.stdin.isatty() and not as_json else None
    data = data or _answer(ask, "Data: a folder, a file, a hub id, or demo", "demo", "--data")
    goal = goal or (ask("Goal: formulas, handwriting, captions or text", "formulas") if ask else "formulas")
    device = chosen_gpu(gpu, memory_gib, ask)
    if model is None and ask:
        from texlens.workflows.init.choices import suggested_model

        model = ask("Model: a folder, a hub id or nano", suggested_model(device))
    result = new_run(Wishes(data, subset, model, goal, device, _name(file)))
    write_text(file, result.text)
    if as_json:
        print_json({"file": str(file), **result.to_json()})
    else:
        _show(result, file)


def _answer(ask: Ask | None, question: str, default: str, option: str) -> str:
    """
    Raises:
        ConfigError: there is nobody to ask.
    """
    from texlens.core.errors import ConfigError

    if ask is None:
        raise ConfigError(f"{option} is missing; give it, or run this in a terminal, where it is asked for")
    return ask(question, default)


def chosen_gpu(gpu: str | None, memory_gib: float | None, ask: Ask | None) -> "Gpu | None":
    """The GPU that was named, or one of that memory, or this machine's; None is no GPU.

    Raises:
        ConfigError: no such GPU, or no number.
    """
    from texlens.core.errors import ConfigError
    from texlens.planner.gpus import find_gpu, gpu_of_memory, local_gpu

    named = None if gpu in (None, "none") else find_gpu(gpu)
    local = local_gpu() if gpu is None else None
    if gpu is None and memory_gib is None and ask:
        answer = ask("GPU memory in GiB (0 without a GPU)", f"{local.memory_gib:g}" if local else "0")
        try:
            memory_gib = float(answer)
        except ValueError:
            raise ConfigError(f"GPU memory: {answer!r} is not a number; write GiB, such as 24") from None
    if memory_gib is None:
        return named or local
    return gpu_of_memory(memory_gib, named or local) if memory_gib else None


def _ask_in_terminal(question: str, default: str) -> str:
    return typer.prompt(question, default=default, err=True)


def _name(file: Path) -> str:
    """A run's name from the file's, of which only letters, digits, `.`, `_` and `-` stay."""
    stem = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in file.stem
    )
    return stem.lstrip("._-") or "run"


def _show(result, file: Path) -> None:
    from texlens.cli.training.plan import show_cpu, show_gpu, show_parameters
    from texlens.workflows.run_cost import plan_without_gpu

    console = result_console()
    console.print(result.text.rstrip("\n"), markup=False)
    console.print()
    if result.data.problem:
        console.print(f"note: the data was not looked at: {result.data.problem}", style="yellow", markup=False)
    show_parameters(result.plan, console)
    if result.on_gpu:
        show_gpu(result.on_gpu, console)
    elif on_cpu := plan_without_gpu(result.config, result.plan, message_console()):
        show_cpu(on_cpu, console)
    console.print(f"written: {file}; `texlens train {file}` starts the run", markup=False)
