"""How much each expert of a MoE-LoRA adapter is used, beside the loss in metrics.jsonl."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers.trainer_callback import TrainerCallback

from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.logging.metrics_log import append_line


class ExpertUtilizationLog(TrainerCallback):
    """Appends `{"step", "balance_loss", "expert_use": {layer: [share of each expert]}}` whenever the loss is logged.

    In a distributed run the balance loss is the main process's, and the utilization the mean over processes.
    """

    def __init__(self, path: Path, balance: BalanceLoss, context: DistributedContext = SINGLE_PROCESS):
        self.path, self.balance, self.context = path, balance, context

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" not in (logs or {}):
            return
        loss = self.balance.log.last_loss()
        utilization = mean_utilization(self.context.all_gather(self.balance.log.pop_utilization()))
        if loss is None or not state.is_world_process_zero:
            return
        row = {
            "step": state.global_step,
            "balance_loss": round(float(loss), 6),
            "expert_use": {layer: [round(share, 4) for share in shares] for layer, shares in utilization.items()},
        }
        append_line(self.path, row)


def mean_utilization(per_process: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Each layer's shares, the mean over the processes that used the layer; all have about as many tokens."""
    layers = {layer: [use[layer] for use in per_process if layer in use] for use in per_process for layer in use}
    return {layer: [sum(shares) / len(uses) for shares in zip(*uses, strict=True)] for layer, uses in layers.items()}
