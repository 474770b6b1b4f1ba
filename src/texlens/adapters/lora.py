"""LoRA on a loaded model through PEFT: attaching, saving, loading. An adapter saved here is a stock PEFT adapter."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from texlens.adapters.card import CARD, AdapterCard
from texlens.adapters.plan import AdapterPlan
from texlens.core.errors import ModelError
from texlens.core.files import write_json
from texlens.models.checkpoint import read_header

WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"


def attach_lora(
    model: PreTrainedModel,
    plan: AdapterPlan,
    *,
    rank: int,
    alpha: int,
    dropout: float,
    rslora: bool = False,
    seed: int = 0,
    base_path: str | None = None,
) -> PeftModel:
    """The model with fresh adapters on the planned layers, everything else frozen; the same seed, the same weights."""
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=plan.pattern,
        rank_pattern=dict(plan.ranks),
        alpha_pattern=dict(plan.alphas),
        use_rslora=rslora,
        bias="none",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    adapted = get_peft_model(model, config)
    if base_path:
        adapted.peft_config["default"].base_model_name_or_path = base_path
    trainable = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    if trainable != plan.trainable:
        raise ModelError(f"the adapter has {trainable:,} parameters where {plan.trainable:,} were planned; report this")
    return adapted


def save_adapter(model: PeftModel, folder: Path, card: AdapterCard) -> None:
    """Weights and settings in PEFT's form, and the card beside them; `folder` should be one written aside."""
    model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    write_json(folder / CARD, card.to_json())


def load_adapter(
    model: PreTrainedModel, folder: Path, *, fingerprint: str | None, trainable: bool = False
) -> PeftModel:
    """The model with the saved adapter on it.

    Args:
        fingerprint: of the loaded base; None skips the comparison with the card's.

    Raises:
        ModelError: not an adapter, a pickle, or an adapter of another base.
    """
    check_adapter(folder, fingerprint)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys.*")
        try:
            return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
        except (RuntimeError, ValueError, KeyError, UserWarning) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(
                f"{folder}: the adapter does not fit this model ({reason}); use the base it was made on"
            ) from None


def check_adapter(folder: Path, fingerprint: str | None) -> None:
    """
    Raises:
        ModelError: as `load_adapter`, before any weight is read.
    """
    if not (folder / SETTINGS).is_file():
        raise ModelError(f"{folder}: no {SETTINGS} in it, so not an adapter; name a run or adapter folder")
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        raise ModelError(
            f"{folder}: the weights are a pickle (adapter_model.bin), which can run code; convert them to safetensors"
            if pickled
            else f"{folder}: {WEIGHTS} is missing; the adapter was not saved whole"
        )
    read_header(folder / WEIGHTS)
    try:
        json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{folder / SETTINGS}: damaged ({error}); save the adapter again") from None
    card = AdapterCard.read(folder)
    if card and fingerprint and card.base_fingerprint != fingerprint:
        raise ModelError(
            f"{folder}: this adapter belongs to another base ({card.base}, fingerprint {card.base_fingerprint[:12]}), "
            f"the loaded one has {fingerprint[:12]}; set model.path to the base it was trained on"
        )


def same_weights(left: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> bool:
    """Whether two adapters are equal bit for bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
