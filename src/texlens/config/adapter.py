"""`adapter:` what is trained on top of the checkpoint: LoRA, a mixture of LoRA experts, or the weights themselves."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from texlens.config.base import Settings

Layers = Annotated[str, Field(pattern=r"^(regex:.+|\d{1,4}(-\d{1,4})?(\s*,\s*\d{1,4}(-\d{1,4})?)*)$")]
"""`20-35`, `0,4,8-11` or `regex:` and an expression over full module names."""


class GroupSettings(Settings):
    """What a module group has of its own; what is absent is the adapter's."""

    rank: int | None = Field(None, ge=1)
    alpha: int | None = Field(None, ge=1)
    dropout: float | None = Field(None, ge=0, lt=1)
    learning_rate: float | None = Field(None, gt=0)


class ExpertSettings(Settings):
    """Adapters on the stacked experts of a mixture; rank, alpha and learning rate default to the adapter's."""

    mode: Literal["lora", "shared"] = "lora"
    """lora: a pair of matrices for each expert; shared: one pair for all experts of a parameter."""
    rank: int | None = Field(None, ge=1)
    alpha: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) through PEFT."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    """Each update is scaled by alpha / rank (alpha / sqrt(rank) with rslora)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ("text-attention", "text-mlp")
    """Module groups (text-attention, text-mlp, vision, merger, all-linear), leaf names (q_proj) or patterns
    (regex:<regular expression over full module names>)."""
    layers: Layers | None = None
    """Only these layers of the language model (`20-35`, `0,4,8-11`), or only full names that match `regex:…`."""
    vision: Literal["frozen"] | GroupSettings | None = None
    """Adapts the vision tower too, with its own rank, alpha, dropout and learning rate; or frozen."""
    merger: Literal["frozen", "lora", "full"] | GroupSettings | None = None
    """The layers between vision tower and language model: frozen, adapted, or trained in full."""
    experts: Literal["frozen", "lora", "shared"] | ExpertSettings = "frozen"
    """The stacked experts of a mixture (Qwen3-VL-MoE); its router stays frozen."""
    groups: dict[str, GroupSettings] = Field({})
    """A group's own rank, alpha, dropout and learning rate: `{text-mlp: {rank: 8}}`."""
    init: Literal["default", "pissa", "loftq", "eva", "orthogonal"] = "default"
    """Initial weights: zero update; main singular directions of the weights (pissa); error of the 4-bit base (loftq);
    main directions of the inputs (eva); orthogonal bases."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732)."""
    dora: bool = False
    """Learn each output's magnitude apart from its direction (Liu et al. 2024, arXiv:2402.09353)."""
    modules_to_save: tuple[str, ...] = ()
    """Modules that are trained in full and saved with the adapter, such as embed_tokens and lm_head."""
    from_: str | None = Field(None, alias="from")
    """Go on from this adapter: a folder, a run, or a hub id; its kind, rank and scale must be the same."""

    @property
    def group_overrides(self) -> dict[str, GroupSettings]:
        """Settings of every group that has its own, the short forms `vision`, `merger` and `experts` included."""
        short = {"vision": self.vision, "merger": self.merger}
        overrides = {name: value for name, value in short.items() if isinstance(value, GroupSettings)}
        if isinstance(self.experts, ExpertSettings):
            overrides["experts"] = GroupSettings(**self.experts.model_dump(exclude={"mode"}))
        elif self.experts != "frozen":
            overrides["experts"] = GroupSettings()
        return {**self.groups, **overrides}

    @property
    def experts_mode(self) -> Literal["frozen", "lora", "shared"]:
        return self.experts.mode if isinstance(self.experts, ExpertSettings) else self.experts

    @model_validator(mode="after")
    def _can_be_trained(self):
        adapted = self.targets or self.group_overrides or self.merger in ("lora", "full")
        if not adapted and not self.modules_to_save:
            raise ValueError("targets is empty and no group is set, so nothing would be trained; name a group")
        for group in ("vision", "merger"):
            setting = getattr(self, group)
            if setting is not None and group in self.targets:
                raise ValueError(f"{group} is in targets and has settings of its own; keep one of the two")
            if setting is not None and group in self.groups:
                raise ValueError(f"{group} is in groups and has settings of its own; keep one of the two")
        if self.from_ and self.init != "default":
            raise ValueError(f"init {self.init} sets the initial weights, and from names others; set init: default")
        if self.dora and self.experts_mode != "frozen":
            raise ValueError("dora has no form for stacked experts; set experts: frozen or dora: false")
        if self.init != "default" and (self.dora or self.experts_mode != "frozen"):
            what = "dora" if self.dora else "adapters on experts"
            raise ValueError(f"init {self.init} can't be combined with {what}; set init: default")
        return self


class MoeLoraSettings(Settings):
    """A mixture of LoRA experts in every target layer, chosen for each token by a router on its hidden state."""

    kind: Literal["moe-lora"]
    experts: int = Field(2, ge=2)
    """LoRA experts in each layer."""
    rank: int = Field(8, ge=1)
    """Of each expert."""
    alpha: int = Field(16, ge=1)
    """Each expert's update is scaled by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = Field(("text-attention", "text-mlp"), min_length=1)
    layers: Layers | None = None
    groups: dict[str, GroupSettings] = Field({})
    """A group's own rank, alpha, dropout and learning rate."""
    top_k: int | None = Field(None, ge=1)
    """Only the k likeliest experts of a token are used; default: all, weighted by the router's softmax."""
    balance: float = Field(0.01, ge=0)
    """Weight of the loss that keeps experts evenly used; 0 turns it off."""
    shared: bool = False
    """One more expert that every token uses."""
    modules_to_save: tuple[str, ...] = ()
    from_: str | None = Field(None, alias="from")
    """Go on from this adapter: a folder, a run, or a hub id; its kind, rank and scale must be the same."""

    @property
    def group_overrides(self) -> dict[str, GroupSettings]:
        return dict(self.groups)

    @model_validator(mode="before")
    @classmethod
    def _lora_only(cls, values: Any):
        wrong = [key for key in ("dora", "rslora", "init", "vision", "merger") if key in values]
        if wrong and isinstance(values, dict):
            remedy = "name it in targets or groups" if wrong[0] in ("vision", "merger") else "remove it"
            raise ValueError(f"{wrong[0]} belongs to kind lora and MoE-LoRA has no such form; {remedy}, or kind: lora")
        return values

    @model_validator(mode="after")
    def _top_k_is_a_choice(self):
        if self.top_k is not None and self.top_k > self.experts:
            raise ValueError(f"top_k {self.top_k} is over experts {self.experts}; lower it or leave it out")
        return self


class FullSettings(Settings):
    """Full fine-tuning: the weights of the named groups are trained, and a complete checkpoint is saved."""

    kind: Literal["full"]
    targets: tuple[str, ...] = Field(("text-attention", "text-mlp"), min_length=1)
    """Module groups (text-attention, text-mlp, vision, merger, experts, embed, head, all), leaf names or patterns."""
    layers: Layers | None = None
    groups: dict[str, GroupSettings] = Field({})
    """A group's own learning rate."""
    from_: str | None = Field(None, alias="from")
    """Go on from the weights of this run, checkpoint or folder, trained in full before on the same base."""

    @property
    def group_overrides(self) -> dict[str, GroupSettings]:
        return dict(self.groups)

    @model_validator(mode="after")
    def _groups_have_rates_alone(self):
        for name, override in self.groups.items():
            if override.rank or override.alpha or override.dropout is not None:
                raise ValueError(f"groups.{name}: weights trained in full have no rank, alpha or dropout; remove them")
        return self


AdapterSettings = Annotated[LoraSettings | MoeLoraSettings | FullSettings, Field(discriminator="kind")]


def layer_numbers(layers: str) -> set[int]:
    """
    Example:
        "0,4,8-11" -> {0, 4, 8, 9, 10, 11}
    """
    numbers: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", layers):
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers
