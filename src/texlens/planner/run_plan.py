"""What a run trains and how many steps it takes, from configuration and image headers: no weights are read."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from texlens.adapters.build import build_plan
from texlens.adapters.checks import check_modules_to_save, check_quantized_vision
from texlens.adapters.plan import AdapterPlan
from texlens.config.data import DataSettings
from texlens.config.run import RunConfig
from texlens.core.errors import ModelError, TexlensError
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import Sample
from texlens.data.token_estimates import CHARACTERS_PER_TOKEN, text_token_estimate
from texlens.inputs.build import read_split
from texlens.inputs.chat_template import answer_ids, count_text_tokens
from texlens.models.bundled import NANO_FOLDER, bundled_config, bundled_names
from texlens.models.checkpoint import read_config
from texlens.models.families import family_of
from texlens.models.meta_model import count_parameters, meta_model
from texlens.models.preprocessor import geometry_of, read_preprocessor
from texlens.models.processor import load_tokenizer
from texlens.models.quantized import check_family
from texlens.planner.rows import RowSize
from texlens.planner.steps import planned_steps


@dataclass(frozen=True)
class TokenPlan:
    """Tokens of the train rows. `exact` is False if text tokens are estimated because there is no tokenizer."""

    rows: int
    per_sample: float
    longest: int
    image: int
    text: int
    exact: bool


@dataclass(frozen=True)
class RunPlan:
    """`base_parameters` is of the checkpoint alone; `notes` says what is unknown and why.

    `sizes` and `model_config` are inputs of the plan for a GPU.
    """

    base_parameters: int
    adapter: AdapterPlan
    tokens: TokenPlan | None
    steps: int | None
    notes: tuple[str, ...]
    sizes: tuple[RowSize, ...] = ()
    model_config: dict = field(default_factory=dict)

    def to_json(self) -> dict:
        return {
            "parameters": {
                "total": self.base_parameters + self.adapter.added,
                "trainable": self.adapter.trainable,
                "base": self.base_parameters,
            },
            "coverage": [row.to_json() for row in self.adapter.coverage],
            "tokens": asdict(self.tokens) if self.tokens else None,
            "steps": self.steps,
            "notes": list(self.notes),
        }


def plan_run(config: RunConfig) -> RunPlan:
    """
    Raises:
        ConfigError, ModelError: settings that could not be trained.
    """
    folder, model_config = planned_model(config.model.path)
    family = family_of(model_config)
    check_family(config.base.quantize, family)
    adapter = build_plan(config.adapter, family, model_config)
    check_modules_to_save(adapter, config.base.quantize, model_config)
    check_quantized_vision(adapter, config.base)
    total = count_parameters(meta_model(model_config))
    notes: list[str] = []
    sizes, exact = _sizes(config, folder, model_config, notes)
    tokens = _tokens(sizes, exact) if sizes else None
    rows = tokens.rows if tokens else config.data.limit
    steps = config.train.steps or (planned_steps(config.train, rows) if rows else None)
    return RunPlan(total, adapter, tokens, steps, tuple(notes), tuple(sizes), model_config)


def planned_model(path: str) -> tuple[Path | None, dict]:
    """The checkpoint's folder if it is on this machine, and its config.json."""
    if path == "nano":
        return NANO_FOLDER, read_config(NANO_FOLDER)
    if Path(path).is_dir():
        return Path(path), read_config(Path(path))
    shipped = bundled_config(path)
    if shipped is None:
        raise ModelError(
            f"model.path: no folder {path}, and no configuration of that name ships. TexLens reads Qwen's "
            "vision-language models alone: download one first (texlens models download ID), or name one of "
            f"{', '.join(bundled_names())}"
        )
    return None, shipped


def _sizes(config: RunConfig, folder: Path | None, model_config: dict, notes: list[str]) -> tuple[list[RowSize], bool]:
    """Every train row's size, from image headers, and whether its text was counted by the checkpoint's tokenizer."""
    geometry = planned_geometry(config, folder, model_config)
    try:
        rows = read_split(config.data, "train")
    except TexlensError as error:
        notes.append(f"tokens and steps are unknown: {error}")
        return [], False
    tokenizer = planned_tokenizer(folder)
    if tokenizer is None:
        notes.append("text tokens are estimated: the checkpoint's tokenizer is not on this machine")
    sizes = []
    for sample in rows:
        try:
            sizes.append(row_size(sample, geometry, tokenizer, config.data))
        except TexlensError as error:
            notes.append(f"row left out: {error}")
    return sizes, tokenizer is not None


def row_size(sample: Sample, geometry: ImageGeometry, tokenizer, data: DataSettings) -> RowSize:
    """Tokens of a row; its text is estimated without a tokenizer.

    Raises:
        DataError: an image that can't be read.
    """
    grids = tuple(geometry.grid(*image.size)[1:] for image in sample.images)
    text = _text_tokens(sample, data.prompt, data.system_prompt, tokenizer)
    return RowSize(grids, text, _answer_tokens(sample, tokenizer))


def _text_tokens(sample: Sample, question: str, system: str | None, tokenizer) -> int:
    if tokenizer is None:
        return text_token_estimate(sample, question, system)
    return count_text_tokens(tokenizer, sample, question, system)


def _answer_tokens(sample: Sample, tokenizer) -> int:
    """Of all of the row's questions, including the ends of the turns, which are labels too."""
    texts = [each.text for each in sample.separate()]
    if tokenizer is None:
        return sum(round(len(text) / CHARACTERS_PER_TOKEN) + 1 for text in texts)
    return sum(len(answer_ids(tokenizer, text)) for text in texts)


def _tokens(sizes: list[RowSize], exact: bool) -> TokenPlan:
    image, text = sum(size.image for size in sizes), sum(size.text for size in sizes)
    longest = max(size.tokens for size in sizes)
    return TokenPlan(len(sizes), round((image + text) / len(sizes), 1), longest, image, text, exact)


def planned_geometry(config: RunConfig, folder: Path | None, model_config: dict) -> ImageGeometry:
    return geometry_of(
        model_config,
        read_preprocessor(folder) if folder else {},
        min_pixels=config.model.min_pixels,
        max_pixels=config.model.max_pixels,
    )


def planned_tokenizer(folder: Path | None):
    """None where it is not on this machine."""
    if folder is None:
        return None
    try:
        return load_tokenizer(folder)
    except ModelError:
        return None
