"""`train:` how long, how fast, what is measured and what is kept."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from texlens.config.base import Settings
from texlens.config.evaluate import MetricNames
from texlens.config.objective import Objective, SftObjective, objective_named


class OptimizerSettings(Settings):
    name: Literal["adamw", "adamw-8bit"] = "adamw"
    """adamw is PyTorch's fused one; adamw-8bit needs bitsandbytes and a GPU."""
    learning_rate: float = Field(1e-4, gt=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int = Field(0, ge=0)
    warmup_ratio: float = Field(0.0, ge=0, lt=1)
    """Share of all steps; used where warmup_steps is 0."""
    weight_decay: float = Field(0.0, ge=0)
    lora_plus_ratio: float | None = Field(None, ge=1)
    """LoRA+: learning rate of B over that of A (Hayou et al. 2024, arXiv:2402.12354); 16 is theirs."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients with a larger norm are scaled down to it."""


class CheckpointSettings(Settings):
    every_steps: int | None = Field(None, ge=1)
    """Default: at every validation, else once an epoch."""
    keep: int = Field(2, ge=1)
    """How many checkpoints stay on disk; the best one always does."""


class ValidationSettings(Settings):
    every_steps: int | None = Field(None, ge=1)
    """Optimizer steps between measurements of the validation loss; default: an epoch."""
    generation_rows: int = Field(0, ge=0)
    """Also read this many validation rows and score the predictions."""
    metrics: MetricNames = ("exact_match", "exact_match_canonical", "cdm_f1")
    """Scores of those predictions: names, or sets of them, as in evaluate.metrics."""
    best_by: str = "validation_loss"
    """What chooses the best checkpoint: validation_loss, or one of the scores in metrics."""
    early_stopping_patience: int | None = Field(None, ge=1)
    """Stop after this many measurements without an improvement."""

    @model_validator(mode="after")
    def _best_by_is_measured(self):
        if self.best_by != "validation_loss" and not self.generation_rows:
            raise ValueError(
                f"best_by is {self.best_by} but generation_rows is 0; set generation_rows, 100 for instance"
            )
        return self


class LoggingSettings(Settings):
    every_steps: int = Field(10, ge=1)
    """Optimizer steps between measurements of the training loss."""
    first_step: bool = False
    """Also measure the loss of the first step."""
    trackers: tuple[str, ...] = ()
    """Also send measurements to these: tensorboard, swanlab, wandb, trackio; metrics.jsonl is always written."""
    project: str = "texlens"
    """Project of the trackers."""
    experiment: str | None = None
    """Name of the run in the trackers; default: the run folder's name."""
    tags: tuple[str, ...] = ()
    """Tags of the run in the trackers."""
    pictures: int = Field(8, ge=0)
    """Validation rows that trackers and `samples/` show at each validation with picture, reference and prediction; of
    generation_rows where those are set."""


class ComputeSettings(Settings):
    """How steps are computed: what changes time and memory, but not what is learned."""

    backend: Literal["auto", "packed", "plain"] = "auto"
    """packed puts the rows of a step end to end, without padding, on fused layers; plain is the stock forward pass.
    Both give the same losses; auto is packed wherever it is supported."""
    pack_tokens: Annotated[int, Field(ge=256)] | Literal["auto"] = "auto"
    """Tokens of a pack, one forward pass of the packed backend; auto is 32,768 on a GPU and 2,048 on a CPU, or fewer
    where memory_gib asks for it."""
    recompute: Literal["auto", "none", "mlp", "full"] = "auto"
    """What the packed backend recomputes in the backward pass: nothing large, the MLP's gate and up projections, or
    whole layers; auto is the fastest within memory_gib."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    memory_gib: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """Memory that the packed backend may plan with, weights included; auto is the GPU's."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Let torch.compile fuse the packed backend's elementwise operations; auto is on with a GPU."""

    @field_validator("compile", mode="before")
    @classmethod
    def _yaml_reads_on_and_off_as_booleans(cls, value):
        return on_or_off(value)

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self):
        if self.backend == "plain":
            for name in ("pack_tokens", "recompute", "memory_gib", "compile"):
                if getattr(self, name) != "auto":
                    raise ValueError(
                        f"{name} belongs to the packed backend and backend is plain; set backend: auto, or remove it"
                    )
        if self.gradient_checkpointing and self.recompute in ("none", "mlp"):
            raise ValueError(
                f"gradient_checkpointing recomputes layers and recompute is {self.recompute}; keep one of the two"
            )
        return self


Placement = Literal["auto", "replicate", "shard"]


class ParallelSettings(Settings):
    """How the base's weights are divided among the processes of a training, each of which has its own rows: losses and
    adapters are the same."""

    weights: Placement = "auto"
    """shard keeps a part of every decoder layer on each GPU and gathers a layer while it runs (FSDP); replicate keeps
    all weights on each; auto is the fastest that fits."""
    experts: Placement = "auto"
    """Of a mixture: shard keeps some experts on each GPU and sends each token to the GPUs of its experts; replicate
    treats them as other weights; auto is the fastest that fits."""


def on_or_off(value: object) -> object:
    """YAML reads `on` and `off` as booleans."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class TrainSettings(Settings):
    objective: Objective = SftObjective()
    """What is optimized: sft, dpo, kto, orpo or grpo; with options, a mapping with its kind."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the train rows; or give steps."""
    steps: int | None = Field(None, ge=1)
    """Optimizer steps; or give epochs."""
    minutes: float | None = Field(None, gt=0)
    """Stop after this many minutes, with a checkpoint; epochs or steps may end the training before."""
    batch_size: int = Field(8, ge=1)
    """Rows per forward pass; batch_size x gradient_accumulation are the rows of a step, of all GPUs together."""
    gradient_accumulation: int = Field(1, ge=1)
    """Forward passes per optimizer step; the gradients equal those of a batch that many times as large."""
    compute: ComputeSettings = ComputeSettings()
    parallel: ParallelSettings = ParallelSettings()
    cache_features: Literal["off", "on"] = "off"
    """Keep the features of a frozen vision tower on disk, and read them from the second epoch or run on."""
    seed: int = 0
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that decode images ahead of training, shared by the GPUs of a machine; auto is up to 8 a GPU, as
    CPUs and shared memory allow, and none without."""
    optimizer: OptimizerSettings = OptimizerSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    validation: ValidationSettings = ValidationSettings()
    logging: LoggingSettings = LoggingSettings()

    @field_validator("objective", mode="before")
    @classmethod
    def _objective_is_named_or_given(cls, value):
        return objective_named(value)

    @field_validator("cache_features", mode="before")
    @classmethod
    def _yaml_reads_on_and_off_as_booleans(cls, value):
        return on_or_off(value)

    @model_validator(mode="after")
    def _objective_uses_every_setting(self):
        kind = self.objective.kind
        if kind == "sft":
            return self
        if self.compute.backend == "plain":
            raise ValueError(f"objective {kind} needs packs and compute.backend is plain; set compute.backend: auto")
        if kind == "grpo" and self.cache_features == "on":
            raise ValueError("cache_features: on can't be used with objective grpo, which reads images; set it to off")
        return self

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, values):
        if isinstance(values, dict):
            length = values.get("epochs"), values.get("steps")
            if None not in length:
                raise ValueError("epochs and steps are both set; keep one of the two")
            if length == (None, None):
                values = {**values, "epochs": 1.0}
        return values
