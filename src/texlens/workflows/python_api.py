"""What `import texlens` offers: the commands as functions. Each is documented where it is defined; nothing prints.

Images may be paths, bytes, PIL images or `Sample`s. A run is a run folder or one of its checkpoints, such as what
`train` returned.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

from PIL import Image
from rich.console import Console

from texlens.config.load import build_config, load_config
from texlens.config.run import RunConfig
from texlens.data.sample import LazyImage, Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.metrics.prediction import Prediction

ImageLike = str | PathLike[str] | bytes | Image.Image | Sample
ModelLike = str | PathLike[str] | LoadedModel
Settings = Mapping[str, Any] | None


def load(model: str | PathLike[str] = "nano", **options: Any) -> LoadedModel:
    """A model ready to read: a run or one of its checkpoints, an adapter, an export, a checkpoint, a hub id, `nano`.

    Args:
        options: those of `texlens.inference.open.open_model`, such as `checkpoint`, `device` and `dtype`.

    Raises:
        ModelError, RunError: no such model, or a damaged one.

    Example:
        ```python
        model = texlens.load("runs/nano")
        texlens.read(["a.png", "b.png"], model)
        ```
    """
    return open_model(str(model), **options)


class ReadArguments(TypedDict, total=False):
    """Keyword arguments of `read`."""

    prompt: str
    """Instead of the one the model was trained with; likewise `system_prompt`."""
    system_prompt: str
    max_new_tokens: int
    """Default: what the model can hold."""
    temperature: float
    """Default 0: greedy, as scores are measured."""
    batch_size: int
    """Default 16."""


@overload
def read(images: ImageLike, model: ModelLike = ..., **options: Unpack[ReadArguments]) -> Prediction: ...


@overload
def read(images: Iterable[ImageLike], model: ModelLike = ..., **options: Unpack[ReadArguments]) -> list[Prediction]: ...


def read(
    images: ImageLike | Iterable[ImageLike], model: ModelLike = "nano", **options: Unpack[ReadArguments]
) -> Prediction | list[Prediction]:
    """The text of one image, or of several in their order.

    An image that can't be read gives a prediction with `stop == "failed"` and the reason in `error`.

    Args:
        model: what `load` takes, or what it returned.
        options: see `ReadArguments`.

    Raises:
        ModelError, RunError: no such model, or a damaged one.

    Example:
        ```python
        texlens.read("formula.png").text
        [prediction.text for prediction in texlens.read(["a.png", "b.png"], "runs/nano", max_new_tokens=256)]
        ```
    """
    loaded = model if isinstance(model, LoadedModel) else load(model)
    is_one = isinstance(images, str | PathLike | bytes | Image.Image | Sample)
    prompts = options.get("prompt"), options.get("system_prompt")
    samples = [_sample(number, image, *prompts) for number, image in enumerate([images] if is_one else images)]
    limit = options.get("max_new_tokens", loaded.max_new_tokens)
    sampling = Sampling(limit, temperature=options.get("temperature", 0.0))
    predictions = loaded.read(samples, sampling=sampling, batch_size=options.get("batch_size", 16))
    return predictions[0] if is_one else predictions


def train(
    run_file: str | PathLike[str] | Mapping[str, Any] | RunConfig,
    settings: Settings = None,
    *,
    resume: bool = False,
) -> Path:
    """Trains an adapter, calibrates its confidence where there are validation rows, and returns the run folder;
    `compare` measures it.

    Args:
        run_file: a run file, its content as a mapping, or with `resume` the run folder to continue.
        settings: settings to change, by key: `{"train.steps": 80}`.

    Raises:
        ConfigError, DataError, ModelError: anything that would stop the run, before it costs anything.
        RunError: nothing to resume from, or a loss that is NaN or Inf.
    """
    from texlens.workflows.calibrate import calibrate_after_training
    from texlens.workflows.train_run import resume_run, start_run

    console = Console(quiet=True)
    if resume:
        run = resume_run(Path(str(run_file)), _overrides(settings), console=console)
    else:
        run = start_run(_config(run_file, settings), console=console)
    with run.folder.locked():
        calibrate_after_training(run.config, run.folder, console=console)
    return run.folder.path


def evaluate(
    model: str | PathLike[str],
    data: str | None = None,
    *,
    split: str = "test",
    system: str | None = None,
    settings: Settings = None,
) -> dict[str, Any]:
    """Scores of a run on a split, or of any checkpoint on `data`, as `texlens evaluate --json` prints them.

    Raises:
        ConfigError: a checkpoint without `data`, or settings that can't be changed.
        DataError, ModelError, RunError: no such rows or model.
    """
    from texlens.workflows.evaluate_model import evaluate_model

    about, scores = evaluate_model(
        str(model), data, split=split, system=system, overrides=_overrides(settings), console=Console(quiet=True)
    )
    return {**about, **scores.to_json()}


def compare(
    run: str | PathLike[str], *systems: str | PathLike[str], split: str = "test", settings: Settings = None
) -> dict[str, Any]:
    """Base, adapter and other systems on the same rows, as `texlens compare --json` prints them; writes the report.

    Args:
        systems: other runs, checkpoints, exports, bare models, endpoints (http://…/v1#model), files of predictions.

    Raises:
        RunError, ModelError, DataError: not a run folder, or a system that is not there.
    """
    from texlens.evaluation.run import compare_run
    from texlens.evaluation.saved_run import open_run

    config, folder = open_run(Path(run), _overrides(settings))
    with folder.locked():
        result = compare_run(
            config, folder, others=[str(system) for system in systems], split=split, console=Console(quiet=True)
        )
    return result.to_json()


def score(
    references: Sequence[str],
    predictions: Sequence[str | None],
    *,
    metrics: str | Sequence[str] = "all",
    **options: Any,
) -> dict[str, Any]:
    """Scores of texts against references, as `texlens score --json` prints them; a prediction of None scores 0.

    Args:
        metrics: names or sets (`formulas`, `captions`), see docs/reference/metrics.
        options: of `texlens.evaluation.score`: `cdm`, `preset`, `domains`, `seed`.

    Raises:
        DataError: no rows, or lists of different lengths.
        ConfigError: no metric of that name.

    Example:
        ```python
        texlens.score(["x^2"], ["x^{2}"])["scores"]["cdm_f1"]["value"] == 1.0
        ```
    """
    from texlens.evaluation import score as score_texts

    return score_texts(references, predictions, metrics=metrics, **options)


def export(
    run: str | PathLike[str],
    format: str,
    output: str | PathLike[str],
    *,
    verify: bool = True,
    rows: int = 32,
    force: bool = False,
) -> Path:
    """A folder that serves without TexLens, verified against the run's adapter.

    Args:
        format: `adapter`, `merged`, `nf4`, `int8`, `fp8`, `gptq`, `awq`, `gguf`.
        rows: rows that adapter and artifact read for verification.

    Raises:
        ExportError: the folder exists, or reads differently from the adapter (it is then kept as OUTPUT.failed).
    """
    from texlens.evaluation.saved_run import open_run
    from texlens.exporting.pipeline import export_run
    from texlens.workflows.verify import verify as verify_export

    config, folder = open_run(Path(run))
    console = Console(quiet=True)

    def check(artifact: Path):
        return verify_export(config, folder, artifact, rows=rows, console=console)

    return export_run(
        config, folder, Path(output), format, force=force, check=check if verify else None, console=console
    ).folder


def _sample(number: int, image: ImageLike, prompt: str | None, system_prompt: str | None) -> Sample:
    if isinstance(image, Sample):
        return image
    lazy = _lazy(image, number)
    return Sample(f"{number}:{lazy.where}", lazy, "", prompt=prompt, system=system_prompt)


def _lazy(image: str | PathLike[str] | bytes | Image.Image, number: int) -> LazyImage:
    if isinstance(image, bytes):
        return LazyImage.from_bytes(image, f"image {number}")
    if isinstance(image, Image.Image):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return LazyImage.from_bytes(buffer.getvalue(), f"image {number}")
    return LazyImage.from_file(Path(image))


def _config(run_file: str | PathLike[str] | Mapping[str, Any] | RunConfig, settings: Settings) -> RunConfig:
    if isinstance(run_file, RunConfig):
        run_file = run_file.model_dump(mode="json")
    if isinstance(run_file, Mapping):
        return build_config(dict(run_file), overrides=_overrides(settings))
    return load_config(Path(run_file), _overrides(settings))


def _overrides(settings: Settings) -> list[str]:
    """`KEY=VALUE` as the command line has them, values as JSON (which YAML reads)."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in (settings or {}).items()]
