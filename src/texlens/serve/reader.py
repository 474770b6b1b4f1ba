"""The `Reader`: a model, with or without an adapter, that turns images into text as it was trained to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from texlens.adapters.card import AdapterCard
from texlens.adapters.lora import check_adapter, load_adapter
from texlens.config.load import load_config
from texlens.config.model import ModelSettings
from texlens.core.errors import RunError
from texlens.core.prediction import Prediction
from texlens.core.run_folder import MANIFEST, RunFolder, list_runs
from texlens.data.sample import Sample
from texlens.models.build import build_base, build_model
from texlens.models.generate import generate, in_order
from texlens.models.processor import Processor
from texlens.serve.names import MAX_NEW_TOKENS, QUESTION


@dataclass(frozen=True)
class Reader:
    """Everything that decides a reading, the question and pixel budget of training included."""

    name: str
    model: torch.nn.Module
    processor: Processor
    question: str
    system: str | None
    max_new_tokens: int

    def read(self, samples: Sequence[Sample], *, batch_size: int = 16) -> list[Prediction]:
        """A prediction for each sample, in their order; an image that can't be read gives a failed one."""
        made: Iterator[Prediction] = generate(
            self.model,
            self.processor,
            samples,
            question=self.question,
            system=self.system,
            batch_size=batch_size,
            max_new_tokens=self.max_new_tokens,
        )
        return in_order(made, samples)


def open_reader(model: str = "nano", **model_settings) -> Reader:
    """A reader of a run folder (its adapter on its base), a checkpoint folder, a hub id, or `nano`.

    Raises:
        ModelError: no such model, or an adapter that belongs to another base.
        RunError: a run folder that is damaged, or a name that is not among the runs in its folder.
    """
    if (Path(model) / MANIFEST).is_file():
        return _open_run(RunFolder.open(Path(model)))
    if not Path(model).exists() and model != "nano" and (there := list_runs(Path(model).parent)):
        names = ", ".join(str(run.path) for run in there[-5:])
        raise RunError(f"{model}: no such run; there are {names}")
    settings = ModelSettings(path=model, **model_settings)
    base = build_base(settings)
    return Reader(model, build_model(base, settings), base.processor, QUESTION, None, MAX_NEW_TOKENS)


def _open_run(run: RunFolder) -> Reader:
    config = load_config(run.config)
    check_adapter(run.adapter, None)
    card = AdapterCard.read(run.adapter)
    base = build_base(
        config.model, min_pixels=card.min_pixels if card else None, max_pixels=card.max_pixels if card else None
    )
    check_adapter(run.adapter, base.fingerprint)
    model = load_adapter(build_model(base, config.model, config.base), run.adapter, fingerprint=base.fingerprint).eval()
    return Reader(
        run.path.name, model, base.processor, config.data.question, config.data.system, config.evaluate.max_new_tokens
    )
