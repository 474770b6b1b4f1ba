"""Importing this registers MoE-LoRA with PEFT, so that `PeftModel.from_pretrained` loads adapters of that kind."""

import logging

logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
"""It warns about an optional package on every import, which does not concern a run without a quantized base."""

from texlens.adapters import moe_lora as moe_lora  # noqa: E402 - PEFT, loaded here, loads bitsandbytes
