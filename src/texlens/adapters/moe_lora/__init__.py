"""MoE-LoRA as a method of PEFT: importing this module registers it, so that `PeftModel.from_pretrained` knows it."""

from texlens.adapters.moe_lora.config import MoeLoraConfig
from texlens.adapters.moe_lora.layer import MoeLoraLayer
from texlens.adapters.moe_lora.model import MoeLoraModel
from texlens.adapters.moe_lora.register import register

register(MoeLoraConfig, MoeLoraModel)

__all__ = ["MoeLoraConfig", "MoeLoraLayer", "MoeLoraModel"]
