"""How much each expert of a MoE-LoRA is used, line by line beside the loss in metrics.jsonl."""

import json
from pathlib import Path

from transformers.trainer_callback import TrainerCallback

from texlens.adapters.moe_lora.model import BalanceLoss


class ExpertUseLog(TrainerCallback):
    """Appends `{"step", "balance_loss", "expert_use": {layer: [share of each expert]}}` whenever the loss is logged."""

    def __init__(self, path: Path, balance: BalanceLoss):
        self.path, self.balance = path, balance

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" not in (logs or {}) or not state.is_world_process_zero:
            return
        loss, use = self.balance.log.loss(), self.balance.log.take_use()
        if loss is None:
            return
        row = {
            "step": state.global_step,
            "balance_loss": round(float(loss.detach()), 6),
            "expert_use": {layer: [round(share, 4) for share in shares] for layer, shares in use.items()},
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
