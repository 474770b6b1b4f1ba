"""`texlens read`"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from texlens.cli.progress import row_bar
from texlens.cli.shared import Json, message_console, print_json

if TYPE_CHECKING:
    from texlens.data.sample import Sample
    from texlens.inference.confidence import Calibration
    from texlens.metrics.prediction import Prediction

MOST_NAMED = 20
"""Failures that are named one by one at the end; an output file holds them all."""

Told = Callable[[str], None] | None


def read(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Images, folders, or - for standard input.")],
    model: Annotated[
        str,
        typer.Option(metavar="RUN", help="A run folder, a checkpoint folder or a hub id; default: the shipped model."),
    ] = "nano",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write a line of JSON an image here; what it holds is skipped."),
    ] = None,
    form: Annotated[
        Literal["latex", "markdown", "mathml", "json"], typer.Option("--format", help="What to print of an image.")
    ] = "latex",
    raw: Annotated[bool, typer.Option("--raw", help="The model's own text, not made readable.")] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Print before each reading how likely it is right.")
    ] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Print the model's text as it comes; one image.")] = False,
    jobs: Annotated[str, typer.Option(help="Processor threads to read with: a number, or auto for all.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Images read at once.")] = 16,
    as_json: Json = False,
) -> None:
    """Read images into LaTeX: one line an image, in their order.

    An image that can't be read is named on standard error, and the exit code is then 2.

    Examples:

        texlens read formula.png

        texlens read formula.png --confidence --format markdown

        texlens read scans/*.png --model runs/nano --json

        texlens read scans/ -o readings.jsonl --jobs auto
    """
    from texlens.core.errors import ConfigError
    from texlens.inference.bulk import image_names

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    threads = _threads(jobs)
    if output is not None:
        if stream or as_json:
            raise ConfigError("-o writes JSON lines; leave out --stream and --json")
        _write(image_names(images), output, model, batch_size, threads)
        return
    names = list(image_names(images))
    if stream and len(names) > 1:
        raise ConfigError(f"--stream reads one image, here are {len(names)}; leave it out")
    told = (lambda text: print(text, end="", flush=True)) if stream else None
    made, calibration, name = _predictions(names, model, batch_size, threads, told)
    if stream:
        print()
    _print(names, made, calibration, name, form=form, raw=raw, confidence=confidence, as_json=as_json, quiet=stream)


def _threads(jobs: str) -> int | None:
    """How many were asked for; None leaves it to torch, which takes all cores or what OMP_NUM_THREADS says."""
    from texlens.core.errors import ConfigError

    if jobs == "auto":
        return None
    if not jobs.isdecimal() or not int(jobs):
        raise ConfigError(f"--jobs {jobs!r}: a number of threads, or auto")
    return int(jobs)


def _samples(names: Iterable[str]) -> Iterator["Sample"]:
    from texlens.data.sample import LazyImage, Sample

    for name in names:
        image = LazyImage.from_bytes(sys.stdin.buffer.read(), "standard input") if name == "-" else None
        yield Sample(name, image or LazyImage.from_file(Path(name)), "")


def _predictions(
    names: list[str], model: str, batch_size: int, threads: int | None, told: Told
) -> tuple[list["Prediction"], "Calibration | None", str]:
    """The readings, in order, by the way that begins soonest."""
    from dataclasses import replace

    samples = [replace(sample, id=f"{number}:{sample.id}") for number, sample in enumerate(_samples(names))]
    if model == "nano" and len(samples) == 1 and not Path(model).exists():
        return _plainly(samples[0], told)
    reader = _reader(model, threads)
    on_token = None if told is None else lambda _, text: told(text)
    from texlens.inference.generate import in_order

    made = in_order(reader.generate(samples, batch_size=batch_size, on_token=on_token), samples)
    return made, reader.served.calibration, reader.name


def _plainly(sample: "Sample", told: Told) -> tuple[list["Prediction"], "Calibration | None", str]:
    """One image by the shipped model, without torch; one thread, since its products are small."""
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from texlens.core.errors import DataError
    from texlens.inference.backends.numpy.reader import PlainReader
    from texlens.inference.confidence import read_calibration
    from texlens.inference.names import MAX_NEW_TOKENS, QUESTION
    from texlens.metrics.prediction import Prediction
    from texlens.models.bundled import NANO_FOLDER

    reader = PlainReader.open(NANO_FOLDER)
    try:
        made = reader.read(sample, question=QUESTION, max_new_tokens=MAX_NEW_TOKENS, on_text=told)
    except DataError as error:
        made = Prediction(sample.id, "", "", stop="failed", error=str(error))
    return [made], read_calibration(NANO_FOLDER), "nano"


def _reader(model: str, threads: int | None):
    import torch

    from texlens.inference.reader import open_reader

    if threads is not None:
        torch.set_num_threads(threads)
    return open_reader(model)


def _print(
    names: list[str],
    made: list["Prediction"],
    calibration: "Calibration | None",
    model: str,
    *,
    form: Any,
    raw: bool,
    confidence: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from texlens.core.errors import DataError
    from texlens.inference.output_formats import reading_row, shown

    rows = [reading_row(name, one, calibration) for name, one in zip(names, made, strict=True)]
    if as_json:
        print_json({"model": model, "readings": rows})
    if confidence and calibration is None:
        message_console().print(f"{model} has no calibration (`texlens calibrate RUN` makes one): confidence is -")
    for row in () if as_json or quiet else rows:
        if form == "json":
            print(json.dumps(row, ensure_ascii=False))
            continue
        text, problem = shown(row, form, raw=raw) if "error" not in row else ("", None)
        sure = "-" if row.get("confidence") is None else f"{row['confidence']:.3f}"
        print("\t".join([*([row["image"]] if len(rows) > 1 else []), *([sure] if confidence else []), text]))
        if problem:
            message_console().print(f"{row['image']}: {problem}", markup=False)
    failed = [str(row["error"]) for row in rows if "error" in row]
    if failed:
        raise DataError("; ".join(failed))


def _write(names: Iterable[str], output: Path, model: str, batch_size: int, threads: int | None) -> None:
    """Any number of images into a file, with little in memory."""
    from texlens.core.errors import DataError
    from texlens.core.memory import keep_large_blocks_apart
    from texlens.inference.bulk import ReadingsFile
    from texlens.inference.output_formats import reading_row

    keep_large_blocks_apart()
    file = ReadingsFile(output)
    every = list(names)
    missing = list(file.missing(every))
    console = message_console()
    if len(missing) < len(every):
        console.print(f"{output} holds {len(every) - len(missing)} of {len(every)} images already", markup=False)
    reader = _reader(model, threads) if missing else None
    failed: list[str] = []
    with row_bar(console, "reading", len(missing), "images") as advance:
        for made in reader.stream(_samples(missing), batch_size=batch_size) if reader else ():
            row = reading_row(made.id, made, reader.served.calibration if reader else None)
            file.append([row])
            if "error" in row:
                failed.append(str(row["error"]))
            advance(1)
    print(f"{len(missing) - len(failed)} read into {output}, {len(failed)} failed")
    if failed:
        more = f" (and {len(failed) - MOST_NAMED} more in {output})" if len(failed) > MOST_NAMED else ""
        raise DataError("; ".join(failed[:MOST_NAMED]) + more)
