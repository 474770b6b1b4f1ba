"""adapter_config.json of a MoE-LoRA adapter."""

from dataclasses import dataclass, field

from peft.config import PeftConfig

from texlens.adapters.moe_lora.register import NAME


@dataclass
class MoeLoraConfig(PeftConfig):
    """
    Args:
        r, lora_alpha, lora_dropout: rank, scale and dropout of each expert, as in LoRA.
        experts: how many in each layer.
        top_k: use only the likeliest so many of a token; None uses all, weighted by the router's softmax.
        balance: weight of the load-balancing loss in training.
        shared_expert: one more expert that every token uses with weight 1.
        target_modules: pattern of full names, or names' last parts.
        rank_pattern, alpha_pattern: ranks and alphas that differ, by pattern.
        modules_to_save: modules that are trained in full.
    """

    r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    experts: int = 2
    top_k: int | None = None
    balance: float = 0.01
    shared_expert: bool = False
    target_modules: list[str] | set[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    rank_pattern: dict = field(default_factory=dict)
    alpha_pattern: dict = field(default_factory=dict)
    modules_to_save: list[str] | None = None
    bias: str = "none"

    def __post_init__(self):
        super().__post_init__()
        self.peft_type = NAME  # type: ignore[assignment]
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if self.r < 1 or self.experts < 2:
            raise ValueError(f"MoE-LoRA needs a rank of at least 1 and 2 experts, not {self.r} and {self.experts}")
        if self.top_k is not None and not 1 <= self.top_k <= self.experts:
            raise ValueError(f"top_k {self.top_k} is not between 1 and experts, {self.experts}")
