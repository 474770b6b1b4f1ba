"""`adapter:` what is trained on top of the frozen checkpoint."""

from typing import Literal

from pydantic import Field, model_validator

from texlens.config.base import Settings


class GroupRank(Settings):
    """A module group's own rank and alpha."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)


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
    vision: GroupRank | None = None
    """Adapts the vision tower too, with its own rank and alpha."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732)."""

    @model_validator(mode="after")
    def _something_is_trained(self):
        if not self.targets and self.vision is None:
            raise ValueError("targets is empty and vision is not set, so nothing would be trained; name a group")
        if self.vision and "vision" in self.targets:
            raise ValueError("vision stands in targets and has settings of its own; keep one of the two")
        return self
