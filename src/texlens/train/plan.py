"""What a run will train and how long it is, from configuration and image headers alone: no weights are read."""

from dataclasses import asdict, dataclass
from pathlib import Path

from texlens.adapters.build import build_plan
from texlens.adapters.plan import AdapterPlan
from texlens.config.run import RunConfig
from texlens.core.errors import ModelError, TexlensError
from texlens.data.build import read_split
from texlens.data.lengths import text_token_estimate
from texlens.models.checkpoint import read_config
from texlens.models.families import family_of
from texlens.models.preprocessor import geometry_of, read_preprocessor
from texlens.models.processor import load_tokenizer
from texlens.models.shipped import NANO_FOLDER, shipped_config, shipped_names
from texlens.models.skeleton import count_parameters, skeleton
from texlens.train.arguments import planned_steps


@dataclass(frozen=True)
class TokenPlan:
    """Tokens of the train rows. `exact` is False where the text tokens are estimated, for want of a tokenizer."""

    rows: int
    per_sample: float
    longest: int
    image: int
    text: int
    exact: bool


@dataclass(frozen=True)
class RunPlan:
    """`base_parameters` is of the checkpoint alone; `notes` says what could not be known and why."""

    base_parameters: int
    adapter: AdapterPlan
    tokens: TokenPlan | None
    steps: int | None
    notes: tuple[str, ...]

    def to_json(self) -> dict:
        return {
            "parameters": {
                "total": self.base_parameters + self.adapter.added,
                "trainable": self.adapter.trainable,
                "base": self.base_parameters,
            },
            "coverage": [asdict(row) for row in self.adapter.coverage],
            "tokens": asdict(self.tokens) if self.tokens else None,
            "steps": self.steps,
            "notes": list(self.notes),
        }


def plan_run(config: RunConfig) -> RunPlan:
    """
    Raises:
        ConfigError, ModelError: settings that could not be trained.
    """
    folder, model_config = _model_config(config.model.path)
    adapter = build_plan(config.adapter, family_of(model_config), model_config)
    total = count_parameters(skeleton(model_config))
    notes: list[str] = []
    tokens = _tokens(config, folder, model_config, notes)
    rows = tokens.rows if tokens else config.data.limit
    steps = config.train.steps or (planned_steps(config.train, rows) if rows else None)
    return RunPlan(total, adapter, tokens, steps, tuple(notes))


def _model_config(path: str) -> tuple[Path | None, dict]:
    """The checkpoint's folder where it is on this machine, and its config.json."""
    if path == "nano":
        return NANO_FOLDER, read_config(NANO_FOLDER)
    if Path(path).is_dir():
        return Path(path), read_config(Path(path))
    shipped = shipped_config(path)
    if shipped is None:
        raise ModelError(
            f"model.path: no folder {path}, and no configuration of that name ships; download it first "
            f"(texlens models download {path}), or name one of {', '.join(shipped_names())}"
        )
    return None, shipped


def _tokens(config: RunConfig, folder: Path | None, model_config: dict, notes: list[str]) -> TokenPlan | None:
    geometry = geometry_of(
        model_config,
        read_preprocessor(folder) if folder else {},
        min_pixels=config.model.min_pixels,
        max_pixels=config.model.max_pixels,
    )
    try:
        rows = read_split(config.data, "train")
    except TexlensError as error:
        notes.append(f"tokens and steps are not known: {error}")
        return None
    tokenizer = _tokenizer(folder)
    if tokenizer is None:
        notes.append("text tokens are estimated: the checkpoint's tokenizer is not on this machine")
    image, text, longest, counted = 0, 0, 0, 0
    for sample in rows:
        try:
            pixels = geometry.tokens(*sample.image.size)
        except TexlensError as error:
            notes.append(f"row left out: {error}")
            continue
        words = text_token_estimate(sample, config.data.question, config.data.system, tokenizer)
        image, text, longest, counted = image + pixels, text + words, max(longest, pixels + words), counted + 1
    per_sample = (image + text) / max(counted, 1)
    return TokenPlan(counted, round(per_sample, 1), longest, image, text, tokenizer is not None)


def _tokenizer(folder: Path | None):
    if folder is None:
        return None
    try:
        return load_tokenizer(folder)
    except ModelError:
        return None
