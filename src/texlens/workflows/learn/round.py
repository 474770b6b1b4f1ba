"""A round: the corrections so far become rows, the current model goes on training on them, both are tested, one is
kept.

Its plan is written first and never changes. Each step leaves its result, so a round that was killed goes on with the
step that it was in, and trains on what was planned, whatever was corrected since.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from texlens.core.errors import DataError, RunError
from texlens.core.files import write_json, write_text
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.data.folder.statistics import statistics_if_made_by
from texlens.data.folder.writer import FolderWriter
from texlens.data.lazy_image import LazyImage
from texlens.data.load import load_split
from texlens.data.sample import Sample
from texlens.inference.open import open_model
from texlens.metrics.prediction import Prediction
from texlens.workflows.learn.corrections import LabeledImage
from texlens.workflows.learn.decision import CORRECTED, Decision, decide
from texlens.workflows.learn.rehearsal import Rehearsal, rehearsal_rows
from texlens.workflows.learn.round_settings import RUN_NAME, round_config
from texlens.workflows.train_run import resume_run, start_run

PLAN, RESULT = "plan.json", "result.json"
_BATCH = 16


@dataclass(frozen=True)
class RoundPlan:
    """All that decides a round.

    Attributes:
        model: that reads now and that training goes on from; `start` is the one that the folder began with.
        version: of the corrections file.
        train, hold_out: (key, name, text) of each image.
        rehearsal: rows of the old kind to train on, of `rehearsal_data` where it is named.
        overrides: settings that were changed, `KEY=VALUE`.
    """

    number: int
    model: str
    start: str
    version: int
    train: tuple[tuple[str, str, str], ...]
    hold_out: tuple[tuple[str, str, str], ...]
    rehearsal: int
    rehearsal_data: str = ""
    overrides: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        write_json(folder / PLAN, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "RoundPlan":
        """
        Raises:
            RunError: a damaged plan.
        """
        try:
            values: dict[str, Any] = json.loads((folder / PLAN).read_text(encoding="utf-8"))
            for name in ("train", "hold_out"):
                values[name] = tuple((key, file, text) for key, file, text in values[name])
            values["overrides"] = tuple(values["overrides"])
            return cls(**values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(f"{folder / PLAN}: damaged ({error}); remove {folder} to plan the round again") from None


def labeled(images: Sequence[LabeledImage]) -> tuple[tuple[str, str, str], ...]:
    return tuple((each.image.key, each.image.name, each.text) for each in images)


def run_round(folder: Path, images: Path, console: Console) -> dict[str, Any]:
    """The result of the round planned in `folder`, going on where an earlier call was stopped.

    Args:
        images: the folder of images.

    Raises:
        DataError: an image of the plan is gone or has changed.
        ConfigError, ModelError, RunError: training is not possible.
    """
    plan = RoundPlan.read(folder)
    result = read_result(folder)
    if result is not None:
        return result
    rehearsal = rehearsal_rows(plan.start, plan.rehearsal_data, rows=plan.rehearsal, seed=plan.number)
    if rehearsal.problem:
        console.print(f"note: no rehearsal rows: {rehearsal.problem}", style="yellow", markup=False)
    _write_rows(folder / "data", images, plan, rehearsal)
    _train(folder, plan, len(plan.train) + len(rehearsal.train), console)
    decision = decide(_predictions(folder, "before", plan.model), _predictions(folder, "after", str(folder / RUN_NAME)))
    result = _result(plan, rehearsal, decision)
    write_json(folder / RESULT, result)
    return result


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result of a finished round."""
    try:
        return json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / RESULT}: damaged ({error}); remove it to test the round again") from None


def _write_rows(data: Path, images: Path, plan: RoundPlan, rehearsal: Rehearsal) -> None:
    """Images and texts as a data set of the round's own, so that it stays what it was."""
    digest = hashlib.sha256(json.dumps(asdict(plan), sort_keys=True).encode()).hexdigest()
    made_by = {"command": "learn", "round": plan.number, "plan": digest, "rehearsal": len(rehearsal.train)}
    if statistics_if_made_by(data, made_by) is not None:
        return
    splits = {
        "train": [*_samples(images, plan.train), *rehearsal.train],
        "test": [*_samples(images, plan.hold_out), *rehearsal.guard],
    }
    with FolderWriter(data, made_by=made_by, resume=True, overwrite=True) as writer:
        for split, samples in splits.items():
            for sample in samples:
                if not writer.skip(split):
                    writer.add(split, sample)


def _samples(images: Path, rows: Sequence[tuple[str, str, str]]) -> Iterator[Sample]:
    for key, name, text in rows:
        data = LazyImage.from_file(images / name, name).encoded()
        if hashlib.sha256(data).hexdigest() != key:
            raise DataError(f"{images / name}: another image than the one that was corrected; put that one back")
        yield Sample(key[:16], LazyImage.from_bytes(data, name), text, domain=CORRECTED)


def _train(folder: Path, plan: RoundPlan, rows: int, console: Console) -> None:
    run = folder / RUN_NAME
    if not (run / MANIFEST).is_file():
        start_run(round_config(plan.model, folder / "data", folder, rows, plan.overrides), console=console)
    elif RunFolder(run).manifest.get("state") != "trained":
        resume_run(run, console=console)


def _predictions(folder: Path, name: str, model: str) -> list[Prediction]:
    """What a model reads from the test rows, stored when all of it is read."""
    path = folder / f"{name}.jsonl"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").split("\n")
        return [Prediction.from_row(json.loads(line)) for line in lines if line]
    rows = load_split(str(folder / "data"), split="test")
    predictions = open_model(model).read(list(rows), batch_size=_BATCH)
    lines = (json.dumps(prediction.to_row(), ensure_ascii=False) for prediction in predictions)
    write_text(path, "".join(f"{line}\n" for line in lines))
    return predictions


def _result(plan: RoundPlan, rehearsal: Rehearsal, decision: Decision) -> dict[str, Any]:
    """With `shared_labels`: held-out rows whose label was also trained on, which measure less of reading."""
    trained = {_spaceless(text) for _, _, text in plan.train}
    return {
        "number": plan.number,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": plan.model,
        "corrections_version": plan.version,
        "trained_rows": len(plan.train),
        "rehearsal_rows": len(rehearsal.train),
        "shared_labels": sum(_spaceless(text) in trained for _, _, text in plan.hold_out),
        **decision.to_json(),
        "kept": decision.is_kept,
    }


def _spaceless(text: str) -> str:
    return "".join(text.split())
