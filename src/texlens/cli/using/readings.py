"""Reading for `texlens read`: which model, which images, and how readings are printed or written."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from texlens.cli.progress import row_bar
from texlens.cli.shared import message_console, print_json, visible
from texlens.core.errors import ConfigError, DataError, one_line
from texlens.core.language import translated
from texlens.data.pdf_pages import SUFFIX as PDF_SUFFIX
from texlens.data.pdf_pages import page_numbers, pdf_pages
from texlens.data.pdf_regions import cropped, read_regions, region_images
from texlens.inference.bulk.readings_file import STDIN, ReadingsFile, image_names
from texlens.inference.bulk.shards import Shard, merge_parts
from texlens.inference.output_formats import OutputFormat, formatted, reading_row, without_control_characters

if TYPE_CHECKING:
    from texlens.data.sample import LazyImage, Sample
    from texlens.inference.decoding.sampling import Sampling
    from texlens.inference.model import LoadedModel

MAX_NAMED = 20
"""Failures that are named one by one; an output file holds them all."""
UNSURE = 0.5
"""A calibrated confidence under this is remarked on."""
NO_FORMULA = 0.5
"""A calibrated probability under this that the image shows a formula at all is remarked on."""
UNLIKELY = 0.02
"""The same for the probability of a text by a model that was never calibrated."""


@dataclass(frozen=True)
class NamedImage:
    """An image to read: what it is called in output, and how to open it."""

    name: str
    open: "Callable[[], LazyImage]"


@dataclass(frozen=True)
class ReadingSettings:
    """The model and settings of one call; `sampling.max_new_tokens` 0 means what the model can hold."""

    model: str
    checkpoint: str | None
    prompt: str | None
    system: str | None
    sampling: "Sampling"
    seed: int
    batch_size: int
    threads: int | None
    trust_remote_code: bool
    clean: bool = True

    def open(self, images: int) -> "LoadedModel":
        """The model: for one image by the bundled one in numpy, which begins soonest."""
        from texlens.inference.open import open_model
        from texlens.inputs.chat_template import PromptStyle

        bundled = self.model == "nano" and not Path(self.model).exists() and self.checkpoint is None
        if bundled and images == 1 and self.sampling.is_plain_greedy:
            if "numpy" not in sys.modules:
                os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its matrices are small
            loaded = open_model("nano", backend="numpy")
        else:
            self._set_threads()
            loaded = open_model(self.model, checkpoint=self.checkpoint, trust_remote_code=self.trust_remote_code)
        style = loaded.style
        return replace(
            loaded,
            style=PromptStyle(
                style.prompt if self.prompt is None else self.prompt,
                style.system_prompt if self.system is None else self.system,
            ),
        )

    def sampling_of(self, loaded: "LoadedModel") -> "Sampling":
        return replace(self.sampling, max_new_tokens=self.sampling.max_new_tokens or loaded.max_new_tokens)

    def _set_threads(self) -> None:
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)


def image_list(
    paths: Sequence[Path], pages: str | None, crop: str | None, crops: Path | None = None
) -> list[NamedImage]:
    """The images of files and folders, or the marked parts of one PDF.

    Raises:
        ConfigError: --pages, --crop or --crops that mean nothing.
        DataError: nothing of what was named exists, or a folder holds no image.
    """
    if crops is not None:
        return _regions(paths, crops, pages or crop)
    numbers = page_numbers(pages) if pages else None
    part = crop_box(crop) if crop else None
    images = [image for name in image_names(paths) for image in _images_of(name, numbers)]
    if numbers and not any(Path(path).suffix.lower() == PDF_SUFFIX for path in paths):
        raise ConfigError(f"--pages {pages}: none of the files is a PDF; leave it out")
    return images if part is None else [replace(image, open=_cropped(image.open, part)) for image in images]


def _regions(paths: Sequence[Path], crops: Path, other: str | None) -> list[NamedImage]:
    """The parts of a PDF that a file of regions names."""
    if other or len(paths) != 1 or paths[0].suffix.lower() != PDF_SUFFIX:
        raise ConfigError("--crops goes with one PDF, and without --pages and --crop")
    pdf, regions = paths[0], read_regions(crops)
    images = region_images(pdf, regions)
    return [
        NamedImage(region.name(pdf), lambda image=image: image) for region, image in zip(regions, images, strict=True)
    ]


def _images_of(name: str, pages: Sequence[int] | None) -> list[NamedImage]:
    """The image of a file, or the pages of a PDF, which are named `paper.pdf#page=2`."""
    if Path(name).suffix.lower() != PDF_SUFFIX:
        return [NamedImage(name, lambda: _open_image(name))]
    return [
        NamedImage(f"{name}#page={page}", lambda image=image: image) for page, image in pdf_pages(Path(name), pages)
    ]


def crop_box(text: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a part of an image, in fractions of its size.

    Raises:
        ConfigError: not such a part.
    """
    try:
        left, top, right, bottom = (float(number) for number in text.split(","))
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"--crop {text[:60]!r}: write left,top,right,bottom in fractions of the size, such as 0,0.2,1,0.5"
        ) from None
    return left, top, right, bottom


def _cropped(
    open_image: "Callable[[], LazyImage]", part: tuple[float, float, float, float]
) -> "Callable[[], LazyImage]":
    def open_part() -> "LazyImage":
        image = open_image()
        return cropped(image, part, image.where)

    return open_part


def _open_image(name: str) -> "LazyImage":
    from texlens.data.sample import LazyImage

    if name == STDIN:
        return LazyImage.from_bytes(sys.stdin.buffer.read(), "standard input")
    return LazyImage.from_file(Path(name))


def _samples(images: Iterable[NamedImage]) -> Iterator["Sample"]:
    from texlens.data.sample import Sample

    for image in images:
        yield Sample(image.name, image.open(), "")


def print_readings(
    images: Sequence[NamedImage],
    reader: ReadingSettings,
    *,
    output_format: OutputFormat,
    raw: bool,
    confidence: bool,
    as_json: bool,
    stream: bool,
) -> bool:
    """Reads images and prints them; whether a text is incomplete.

    Raises:
        DataError: an image could not be read.
    """
    if stream and len(images) > 1:
        raise ConfigError(f"--stream reads one image, here are {len(images)}; leave it out")
    samples = [replace(sample, id=f"{number}:{sample.id}") for number, sample in enumerate(_samples(images))]
    loaded = reader.open(len(samples))
    on_token = _print_text if stream else None
    predictions = loaded.generate(
        samples, sampling=reader.sampling_of(loaded), batch_size=reader.batch_size, seed=reader.seed, on_token=on_token
    )
    by_id = {prediction.id: prediction for prediction in predictions}
    rows = [
        reading_row(image.name, by_id[sample.id], loaded.calibration, reader.clean)
        for image, sample in zip(images, samples, strict=True)
    ]
    if stream:
        print()
    if as_json:
        print_json({"model": loaded.name, "readings": rows})
    if confidence and loaded.calibration is None:
        message_console().print(
            f"{loaded.name} has no calibration (`texlens calibrate RUN` makes one): confidence is -"
        )
    if not as_json and not stream:
        _print_rows(rows, output_format, raw=raw, confidence=confidence, clean=reader.clean)
    return _report(rows)


def _print_text(_: str, text: str) -> None:
    print(without_control_characters(text), end="", flush=True)


def _print_rows(
    rows: Sequence[dict[str, Any]], output_format: OutputFormat, *, raw: bool, confidence: bool, clean: bool
) -> None:
    for row in rows:
        if output_format == "json":
            print(visible(json.dumps(row, ensure_ascii=False)))
            continue
        text, problem = formatted(row, output_format, raw=raw, clean=clean) if "error" not in row else ("", None)
        certainty = "-" if row.get("confidence") is None else f"{row['confidence']:.3f}"
        columns = [*([row["image"]] if len(rows) > 1 else []), *([certainty] if confidence else []), text]
        print("\t".join(without_control_characters(column) for column in columns))
        if problem:
            _remark(row, problem)


def write_readings(images: Sequence[NamedImage], output: Path, reader: ReadingSettings) -> bool:
    """Reads any number of images into a file, with a bounded number of them in memory; whether a text is incomplete.

    Raises:
        DataError: an image could not be read, now or by an earlier call.
    """
    return write_with(images, output, lambda missing, file: _read_into(file, missing, reader))


def write_with(
    images: Sequence[NamedImage], output: Path, read: "Callable[[list[NamedImage], ReadingsFile], None]"
) -> bool:
    """`write_readings` with what reads the images that the file lacks into it; parts that were left are merged first.

    Raises:
        DataError: an image could not be read, now or by an earlier call.
    """
    console = message_console()
    with ReadingsFile(output) as file:
        merge_parts(file)
        missing = [image for image in images if image.name not in file.rows]
        if len(missing) < len(images):
            console.print(f"{output} holds {len(images) - len(missing)} of {len(images)} images already", markup=False)
        if missing:
            read(missing, file)
        rows = [file.rows[image.name] for image in images]
    failed = sum("error" in file.rows[image.name] for image in missing)
    print(translated(f"{len(missing) - failed} read into {output}, {failed} failed"))
    return _report(rows, output)


def write_part(images: Sequence[NamedImage], output: Path, shard: Shard, reader: ReadingSettings) -> None:
    """Reads a shard's images into its part beside the output; failures are in the part."""
    with ReadingsFile(shard.part_of(output)) as file:
        missing = [image for image in images if shard.holds(image.name) and image.name not in file.rows]
        if missing:
            _read_into(file, missing, reader)


def _read_into(file: ReadingsFile, images: Sequence[NamedImage], reader: ReadingSettings) -> None:
    from texlens.core.memory import keep_large_blocks_apart

    keep_large_blocks_apart()
    loaded = reader.open(len(images))
    predictions = loaded.stream(
        _samples(images), sampling=reader.sampling_of(loaded), batch_size=reader.batch_size, seed=reader.seed
    )
    with row_bar(message_console(), "reading", len(images), "images") as advance:
        for prediction in predictions:
            file.append([reading_row(prediction.id, prediction, loaded.calibration)])
            advance(1)


def _report(rows: Sequence[dict[str, Any]], output: Path | None = None) -> bool:
    """Names failed, cut, repeated and doubtful readings on standard error; whether one is cut or repeated.

    Raises:
        DataError: a reading failed.
    """
    incomplete = [row for row in rows if row.get("stop") in ("length", "loop")]
    for row in incomplete[:MAX_NAMED]:
        _remark(row, "cut at the token limit; --max-tokens raises it" if row["stop"] == "length" else "repeats itself")
    if len(incomplete) > MAX_NAMED:
        message_console().print(f"and {len(incomplete) - MAX_NAMED} more readings are cut or repeat themselves")
    for row in [row for row in rows if _is_doubtful(row)][:MAX_NAMED]:
        _remark(row, _doubt(row))
    errors = [one_line(row["error"]) for row in rows if "error" in row]
    if errors:
        more = f" (and {len(errors) - MAX_NAMED} more in {output})" if output and len(errors) > MAX_NAMED else ""
        raise DataError("; ".join(errors[:MAX_NAMED] if output else errors) + more)
    return bool(incomplete)


def _doubt(row: dict[str, Any]) -> str:
    """What is wrong with a doubtful reading."""
    if row.get("formula_probability", 1.0) < NO_FORMULA:
        return f"does not look like a formula (probability {row['formula_probability']:.2f})"
    problem = row.get("problem")
    return f"not valid: {problem}" if problem else "low confidence: it may be no formula, or not read right"


def _is_doubtful(row: dict[str, Any]) -> bool:
    import math

    if row.get("formula_probability", 1.0) < NO_FORMULA:
        return True

    if "log_probability" not in row:
        return False
    if row["confidence"] is not None:
        return row["confidence"] < UNSURE
    return math.exp(row["log_probability"]) < UNLIKELY


def _remark(row: dict[str, Any], text: str) -> None:
    message_console().print(one_line(f"{row['image']}: {text}"), markup=False)
