"""The run file that `texlens init` writes, and what the run will cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from texlens.config.load import build_config
from texlens.config.run import RunConfig
from texlens.config.yaml_file import parse_yaml
from texlens.core.errors import ConfigError
from texlens.planner.gpus import Gpu
from texlens.planner.plan import GpuPlan, plan_on_gpu
from texlens.planner.run_plan import RunPlan, plan_run
from texlens.workflows.init.choices import ChosenSetting, choices, laid_over, suggested_model
from texlens.workflows.init.commented_yaml import commented_yaml
from texlens.workflows.init.data_overview import DataOverview, data_overview
from texlens.workflows.init.goals import GOALS

FIT = "so that it fits {:.1f} GiB"
"""The reason of settings that the GPU's memory asks for."""
MAX_WEIGHTS_SHARE = 0.75
"""Of the GPU's memory: larger weights leave no room for activations, and are quantized at once."""


@dataclass(frozen=True)
class Wishes:
    """What the user said; `model` None takes one that fits the GPU, `gpu` None is a machine without one."""

    data: str
    subset: str | None = None
    model: str | None = None
    goal: str = "formulas"
    gpu: Gpu | None = None
    name: str = "run"


@dataclass(frozen=True)
class NewRun:
    """`text` is the run file; `changes` were chosen so that it fits the GPU; `on_gpu` is None without a GPU."""

    text: str
    config: RunConfig
    data: DataOverview
    plan: RunPlan
    on_gpu: GpuPlan | None
    changes: Mapping[str, Any]

    def to_json(self) -> dict:
        return {
            "model": self.config.model.path,
            "data": self.data.to_json(),
            "changes_to_fit": dict(self.changes),
            "plan": self.plan.to_json() | ({"on_gpu": self.on_gpu.to_json()} if self.on_gpu else {}),
        }


def new_run(wishes: Wishes) -> NewRun:
    """Looks at the data, chooses the settings, and plans the run; where it does not fit the GPU, settings change.

    Raises:
        ConfigError: an unknown goal, or no settings of this model fit the GPU.
        ModelError: a model that is neither on this machine nor known.
    """
    if wishes.goal not in GOALS:
        raise ConfigError(f"--goal {wishes.goal}: no such goal; choose {', '.join(GOALS)}")
    data = data_overview(wishes.data, wishes.subset)
    model = wishes.model or suggested_model(wishes.gpu)
    chosen = choices(wishes.name, model, data, GOALS[wishes.goal], wishes.gpu)
    if wishes.gpu is None:
        config = _config(chosen)
        return NewRun(commented_yaml(_title(wishes, model), chosen), config, data, plan_run(config), None, {})
    chosen, config, planned, on_gpu = _fitted(chosen, wishes.gpu)
    return NewRun(commented_yaml(_title(wishes, model), chosen), config, data, planned, on_gpu, _changed(chosen))


def _fitted(chosen: list[ChosenSetting], gpu: Gpu) -> tuple[list[ChosenSetting], RunConfig, RunPlan, GpuPlan]:
    """The choices with those changed that the GPU's memory asks for, and their plan.

    Raises:
        ConfigError: no settings of this model fit the GPU.
    """
    planned = plan_run(_config(chosen))
    weights_gib = 2 * planned.base_parameters / 2**30
    if weights_gib > MAX_WEIGHTS_SHARE * gpu.memory_gib:
        reason = f"{FIT}: in 16 bits the weights alone take {weights_gib:.1f}"
        chosen = laid_over(chosen, {"base.quantize": "nf4"}, reason.format(gpu.memory_gib))
    config, planned, on_gpu = _planned(chosen, gpu)
    if not on_gpu.fits:
        if on_gpu.change is None:
            raise ConfigError(f"{config.model.path} does not fit {gpu.title}; choose a smaller model with --model")
        chosen = laid_over(chosen, on_gpu.change, FIT.format(gpu.memory_gib))
        config, planned, on_gpu = _planned(chosen, gpu)
    return chosen, config, planned, on_gpu


def _changed(chosen: Sequence[ChosenSetting]) -> dict[str, Any]:
    beginning = FIT.partition("{")[0]
    return {choice.key: choice.value for choice in chosen if choice.reason.startswith(beginning)}


def _config(chosen: Sequence[ChosenSetting]) -> RunConfig:
    """The settings as the file will be read, so that what is written is known to be valid."""
    return build_config(parse_yaml(commented_yaml("", chosen), "the new run file"))


def _planned(chosen: Sequence[ChosenSetting], gpu: Gpu) -> tuple[RunConfig, RunPlan, GpuPlan]:
    config = _config(chosen)
    planned = plan_run(config)
    return config, planned, plan_on_gpu(config, planned.model_config, planned.sizes, gpu)


def _title(wishes: Wishes, model: str) -> str:
    where = wishes.gpu.title if wishes.gpu else "a CPU"
    return f"{model} on {wishes.data}, for {GOALS[wishes.goal].summary}, on {where}. Written by `texlens init`."
