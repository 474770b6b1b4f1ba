"""LoRA through PEFT: attaching, saving, loading. An adapter saved here is a stock PEFT adapter."""

import json
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from texlens.adapters.attach import check_trainable, set_dropouts, with_default_dropout
from texlens.adapters.expert_parameters import route_experts, shares_experts
from texlens.adapters.expressions import unsafe_reason
from texlens.adapters.full_weights import load_full, save_full
from texlens.adapters.initialization import (
    INITIAL_WEIGHTS,
    as_plain_lora,
    from_plain_lora,
    plain_settings,
    store_initial_weights,
)
from texlens.adapters.metadata import AdapterMetadata
from texlens.adapters.plan import AdapterPlan
from texlens.core.errors import ModelError, one_line
from texlens.core.files import sha256_of, write_json
from texlens.models.checkpoint import CONFIG, fingerprint, read_header, weight_files
from texlens.models.families import EMBEDDING
from texlens.models.metadata import METADATA_FILE

WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"
PEFT_INITS: dict[str, Any] = {
    "default": True,
    "pissa": "pissa",
    "loftq": True,
    "eva": "eva",
    "orthogonal": "orthogonal",
}
"""Our names of initializations, and PEFT's; loftq is ours (`initialization.py`), on top of the default."""


def attach_lora(
    model: PreTrainedModel,
    plan: AdapterPlan,
    *,
    rank: int,
    alpha: int,
    dropout: float,
    rslora: bool = False,
    dora: bool = False,
    init: str = "default",
    seed: int = 0,
    base_path: str | None = None,
) -> PeftModel:
    """The model with new adapters on the planned layers, all else frozen; the same seed gives the same weights.

    Raises:
        ConfigError: an initialization that these layers can't have.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0 if plan.target_parameters else dropout,
        target_modules=plan.target_modules,
        target_parameters=list(plan.target_parameters) or None,
        modules_to_save=list(plan.modules_to_save) or None,
        ensure_weight_tying=plan.tied and EMBEDDING in plan.modules_to_save,
        rank_pattern=dict(plan.rank_pattern),
        alpha_pattern=dict(plan.alpha_pattern),
        use_rslora=rslora,
        use_dora=dora,
        init_lora_weights=PEFT_INITS[init],
        bias="none",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*_pattern keys did not match.*")
        adapted = get_peft_model(model, config)
    if base_path:
        adapted.peft_config["default"].base_model_name_or_path = base_path
    if plan.target_parameters:
        route_experts(adapted, shared=plan.shared_experts)
        plan = with_default_dropout(plan, dropout)
    set_dropouts(adapted, plan)
    check_trainable(adapted, plan)
    if init == "pissa":
        store_initial_weights(adapted)
    return adapted


def save_adapter(model: PeftModel | PreTrainedModel, folder: Path, metadata: AdapterMetadata) -> None:
    """Weights and settings in PEFT's format, and our metadata; `folder` should be a staging folder.

    A model that was trained in full is saved as a complete checkpoint.
    """
    if not isinstance(model, PeftModel):
        save_full(model, folder, metadata)
        return
    model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    if hasattr(model, INITIAL_WEIGHTS):
        save_file(as_plain_lora(model, load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        write_json(folder / SETTINGS, plain_settings(settings))
    write_json(folder / METADATA_FILE, metadata.to_json())


def load_adapter(
    model: PreTrainedModel, folder: Path, *, fingerprint: str | None, trainable: bool = False
) -> PeftModel | PreTrainedModel:
    """The model with the saved adapter on it, or with the weights of a checkpoint that was trained in full.

    Args:
        fingerprint: of the loaded base; None skips the comparison with the metadata's.

    Raises:
        ModelError: not an adapter, a pickle, or an adapter of another base.
    """
    metadata = check_adapter(folder)
    if metadata and fingerprint:
        metadata.check_base(fingerprint, folder)
    if is_full(folder):
        return load_full(model, folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys.*")
        warnings.filterwarnings("ignore", message=".*_pattern keys did not match.*")
        try:
            return _loaded(model, folder, trainable)
        except (MemoryError, torch.OutOfMemoryError, OSError):
            raise
        except Exception as error:  # PEFT reports damaged settings by errors of any kind
            reason = one_line(error, 300)
            raise ModelError(
                f"{folder}: the adapter does not fit this model ({reason}); use the base it was made on"
            ) from error


def _loaded(model: PreTrainedModel, folder: Path, trainable: bool) -> PeftModel:
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    if not settings.get("target_parameters"):
        return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    if not shares_experts(read_header(folder / WEIGHTS), settings):
        adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
        route_experts(adapted)
        return adapted
    config = LoraConfig.from_pretrained(str(folder))
    config.inference_mode = not trainable
    adapted = get_peft_model(model, config)
    route_experts(adapted, shared=True)
    adapted.load_adapter(str(folder), "default", is_trainable=trainable)
    return adapted


def restore(model: torch.nn.Module, folder: Path) -> None:
    """Loads a checkpoint's weights into a model that was built in the same way.

    Raises:
        ModelError: the folder holds the weights of another adapter.
    """
    if not isinstance(model, PeftModel):
        load_full(cast(PreTrainedModel, model), folder)
        return
    weights = load_file(folder / WEIGHTS)
    if hasattr(model, INITIAL_WEIGHTS):
        weights = from_plain_lora(model, weights)
    try:
        outcome = set_peft_model_state_dict(model, weights)
    except RuntimeError as error:  # torch's, on a tensor of another shape
        raise ModelError(f"{folder / WEIGHTS}: {one_line(error, 200)}; it belongs to another adapter") from None
    missing = [name for name in outcome.missing_keys if "lora_" in name or "modules_to_save" in name]
    if outcome.unexpected_keys or missing:
        key = (outcome.unexpected_keys or missing)[0]
        raise ModelError(f"{folder / WEIGHTS}: {key} belongs to no part of this run's adapter; start a new run")


def is_full(folder: Path) -> bool:
    """Whether the folder contains a checkpoint that was trained in full, and no adapter."""
    return (folder / CONFIG).is_file() and not (folder / SETTINGS).is_file()


def adapter_files(folder: Path) -> list[Path]:
    """The files that hold the trained weights."""
    return weight_files(folder) if is_full(folder) else [folder / WEIGHTS]


def adapter_digest(folder: Path) -> str:
    """The sha256 of an adapter's weights; of a fully fine-tuned checkpoint, its fingerprint."""
    return fingerprint(folder) if is_full(folder) else sha256_of(folder / WEIGHTS)


def check_adapter(folder: Path) -> AdapterMetadata | None:
    """The metadata of a complete folder of trained weights, before any weight is read; None where it has none.

    Raises:
        ModelError: a file is missing or damaged.
    """
    if is_full(folder):
        weight_files(folder)
    else:
        _check_files(folder)
    return AdapterMetadata.read(folder)


def _check_files(folder: Path) -> None:
    if not (folder / SETTINGS).is_file():
        raise ModelError(f"{folder}: no {SETTINGS} in it, so not an adapter; name a run or adapter folder")
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        raise ModelError(
            f"{folder}: the weights are a pickle (adapter_model.bin), which can run code; convert them to safetensors"
            if pickled
            else f"{folder}: {WEIGHTS} is missing; the adapter was not saved completely"
        )
    header = read_header(folder / WEIGHTS)
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{folder / SETTINGS}: damaged ({one_line(error, 200)}); save the adapter again") from None
    if reason := _damage(settings) or _rank_fault(settings, header):
        raise ModelError(f"{folder / SETTINGS}: damaged ({reason}); save the adapter again")


def _damage(settings: Any) -> str | None:
    """What is wrong with the values of adapter_config.json, or None. Patterns must match in bounded time."""
    if not isinstance(settings, dict):
        return "not a JSON object"
    for name in ("r", "lora_alpha"):
        value = settings.get(name)
        if name in settings and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            return f"{name} is {one_line(value, 60)}"
    patterns: list[Any] = []
    for name in ("target_modules", "exclude_modules", "layers_pattern"):
        value = settings.get(name)
        if isinstance(value, str):
            patterns.append(value)
        elif value is not None and not (isinstance(value, list) and all(isinstance(part, str) for part in value)):
            return f"{name} is neither a pattern nor a list of names"
    for name in ("rank_pattern", "alpha_pattern"):
        value = settings.get(name) or {}
        if not isinstance(value, dict):
            return f"{name} is no object"
        patterns += value
    reasons = ((pattern, unsafe_reason(pattern)) for pattern in patterns)
    return next((f"pattern {one_line(pattern, 60)}: {reason}" for pattern, reason in reasons if reason), None)


def _rank_fault(settings: dict[str, Any], header: dict[str, dict]) -> str | None:
    """A rank over the largest size of any saved tensor, for which memory would be taken before it is noticed."""
    largest = max((size for entry in header.values() for size in entry["shape"]), default=0)
    ranks = [settings.get("r"), *(settings.get("rank_pattern") or {}).values()]
    wrong = next((rank for rank in ranks if rank is not None and not (type(rank) is int and 0 < rank <= largest)), None)
    return None if wrong is None else f"a rank of {one_line(wrong, 60)}, where the largest tensor has {largest:,} rows"
