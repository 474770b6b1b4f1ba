"""How much each expert of a MoE-LoRA is used, line by line beside the loss in metrics.jsonl."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers.trainer_callback import TrainerCallback

from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.train.distributed.context import ALONE, Processes


class ExpertUseLog(TrainerCallback):
    """Appends `{"step", "balance_loss", "expert_use": {layer: [share of each expert]}}` whenever the loss is logged.

    Of several processes the balance loss is the main one's, and the use the mean of all.
    """

    def __init__(self, path: Path, balance: BalanceLoss, processes: Processes = ALONE):
        self.path, self.balance, self.processes = path, balance, processes

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" not in (logs or {}):
            return
        loss, use = self.balance.log.loss(), mean_use(self.processes.gather(self.balance.log.take_use()))
        if loss is None or not state.is_world_process_zero:
            return
        row = {
            "step": state.global_step,
            "balance_loss": round(float(loss.detach()), 6),
            "expert_use": {layer: [round(share, 4) for share in shares] for layer, shares in use.items()},
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def mean_use(of_processes: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Each layer's shares, the mean of those processes that used it; all have about as many tokens."""
    layers = {layer: [use[layer] for use in of_processes if layer in use] for use in of_processes for layer in use}
    return {layer: [sum(shares) / len(found) for shares in zip(*found, strict=True)] for layer, found in layers.items()}
