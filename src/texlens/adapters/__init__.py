"""Importing this makes PEFT know MoE-LoRA, so that `PeftModel.from_pretrained` loads adapters of that kind."""

from texlens.adapters import moe_lora as moe_lora
