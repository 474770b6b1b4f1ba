"""Every recipe is trained, compared and reported on a tiny random model of its own family and drawn formulas."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.fixtures.thorough import later
from tests.integration.conftest import LABELS, RECIPES, write_rows
from texlens.config.adapter import FullSettings
from texlens.config.load import load_config
from texlens.config.run import RunConfig
from texlens.models.bundled import bundled_config
from texlens.models.families import family_of

CAN_PACK = importlib.util.find_spec("bitsandbytes") is not None
ALL = sorted(RECIPES.glob("*.yaml"))
IN_SHORT = [
    *("nano_latex-ocr_grpo", "nano_latex-ocr_lora", "nano_coco-caption_lora", "qwen2-vl-2b_latex-ocr_lora"),
    *("qwen2.5-vl-7b_latex-ocr_qlora", "qwen3-vl-4b_coco-caption_qlora", "qwen3-vl-4b_coco-caption_moe-lora"),
    *("qwen3-vl-8b_latex-ocr_lora", "qwen3-vl-8b_latex-ocr_modules-to-save", "qwen3-vl-30b-a3b_latex-ocr_experts"),
    *("qwen3.5-4b_latex-ocr_lora", "qwen3.5-35b-a3b_latex-ocr_lora"),
]
"""One of each family and kind of adapter; the others differ from them in sizes alone."""
QKVO = ["q_proj", "k_proj", "v_proj", "o_proj"]
SEVEN = [*QKVO, "gate_proj", "up_proj", "down_proj"]
LINEAR = {"weight_decay": 0.0, "warmup_steps": 0, "schedule": "linear", "name": "adamw"}
FORMULAS = {"path": "linxy/LaTeX_OCR", "subset": "synthetic_handwrite", "max_tokens": 8192}
S1 = {
    "adapter": {"rank": 128, "alpha": 16, "dropout": 0.0, "targets": tuple(QKVO), "vision": None},
    "train": {"epochs": 8, "steps": None, "batch_size": 8, "gradient_accumulation": 1, "seed": 42},
    "optimizer": {**LINEAR, "learning_rate": 1e-4},
    "logging": {"every_steps": 10, "first_step": True},
    "checkpoints": {"every_steps": 50, "keep": 3},
    "evaluate": {"max_new_tokens": 512, "temperature": 0.0},
    "prompt": "Transcribe the LaTeX of this image.",
    "covered": {"text-attention": 8},
}
PART = {
    "data": FORMULAS,
    "splits": {"train": "train@222[:0.002]", "validation": None, "test": "test@222[:0.002]"},
}
FULL = {"data": FORMULAS, "splits": {"train": "train", "validation": None, "test": "test@222[:1000]"}}
GRPO = {
    "adapter": {"rank": 128, "alpha": 16, "targets": tuple(QKVO)},
    "objective": {"kind": "grpo", "answers": 8, "max_new_tokens": 256, "kl": 0.0, "updates": 2},
    "splits": FULL["splits"],
    "covered": {"text-attention": 8},
}
S3 = {
    "model": "Qwen/Qwen3-VL-8B-Instruct",
    "data": {"max_tokens": 4096},
    "adapter": {"rank": 16, "alpha": 32, "dropout": 0.05, "targets": tuple(SEVEN)},
    "vision": {"rank": 8, "alpha": 16, "dropout": 0.1},
    "train": {"epochs": 3, "steps": None, "batch_size": 2, "gradient_accumulation": 8},
    "optimizer": {**LINEAR, "learning_rate": 2e-4, "warmup_steps": 100, "weight_decay": 0.01},
    "logging": {"every_steps": 10},
    "checkpoints": {"every_steps": 500, "keep": 3},
    "validation": {"every_steps": 500, "early_stopping_patience": 3},
    "covered": {"text-attention": 8, "text-mlp": 6, "vision": 12},
}
QWEN_3_5 = {
    "data": {"path": "linxy/LaTeX_OCR", "subset": "synthetic_handwrite"},
    "splits": FULL["splits"],
    "adapter": {"rank": 16, "alpha": 32, "dropout": 0.0, "targets": ("text-attention", "text-mlp"), "vision": None},
    "train": {"epochs": 1, "steps": None, "batch_size": 56, "gradient_accumulation": 1, "seed": 42},
    "optimizer": {"learning_rate": 2e-4, "schedule": "cosine", "name": "adamw"},
    "evaluate": {"max_new_tokens": 512, "temperature": 0.0},
    "prompt": "Transcribe the LaTeX of this image.",
    "covered": {"text-attention": 9, "text-mlp": 6},
}
"""Our own settings: no tutorial's script has this family."""
UNSLOTH = {
    "name": "adamw-8bit",
    "learning_rate": 2e-4,
    "schedule": "linear",
    "warmup_steps": 5,
    "weight_decay": 0.01,
}
S3_4BIT = {
    "model": "Qwen/Qwen3-VL-8B-Instruct",
    "data": {"max_tokens": 2048},
    "base": {"quantize": "nf4", "double_quantize": True},
    "adapter": {"rank": 16, "alpha": 16, "dropout": 0.0, "targets": tuple(SEVEN), "rslora": True},
    "train": {"epochs": None, "steps": 30, "batch_size": 2, "gradient_accumulation": 4, "seed": 3407},
    "optimizer": UNSLOTH,
    "logging": {"every_steps": 1},
    "covered": {"text-attention": 8, "text-mlp": 6},
}
S4 = {
    "model": "Qwen/Qwen3-VL-4B-Instruct",
    "data": {"path": "modelscope:modelscope/coco_2014_caption", "max_tokens": 8192},
    "base": {"quantize": "nf4", "double_quantize": True},
    "adapter": {"rank": 8, "alpha": 16, "dropout": 0.05, "targets": tuple(QKVO)},
    "train": {"epochs": 5, "steps": None, "batch_size": 1, "gradient_accumulation": 8},
    "optimizer": {**LINEAR, "learning_rate": 1e-4},
    "splits": {"train": "train[:496]", "validation": None, "test": "train[496:500]"},
    "prompt": "COCO Yes:",
    "covered": {"text-attention": 8},
}
SETTINGS = {
    "qwen3.5-2b_latex-ocr_lora": {**QWEN_3_5, "model": "Qwen/Qwen3.5-2B"},
    "qwen3.5-4b_latex-ocr_lora": {**QWEN_3_5, "model": "Qwen/Qwen3.5-4B"},
    "qwen3.5-35b-a3b_latex-ocr_lora": {
        **QWEN_3_5,
        "model": "Qwen/Qwen3.5-35B-A3B",
        "adapter": {**QWEN_3_5["adapter"], "targets": ("text-attention",)},
        "covered": {"text-attention": 9},
    },
    "qwen3-vl-4b_latex-ocr_lora": {**S1, **PART, "model": "Qwen/Qwen3-VL-4B-Instruct"},
    "qwen3-vl-4b_latex-ocr_lora-full": {**S1, **FULL, "model": "Qwen/Qwen3-VL-4B-Instruct"},
    "qwen3-vl-30b-a3b_latex-ocr_lora": {**S1, **PART, "model": "Qwen/Qwen3-VL-30B-A3B-Instruct"},
    "qwen3-vl-30b-a3b_latex-ocr_lora-full": {**S1, **FULL, "model": "Qwen/Qwen3-VL-30B-A3B-Instruct"},
    "qwen2.5-vl-3b_latex-ocr_lora": {**S1, **PART, "model": "Qwen/Qwen2.5-VL-3B-Instruct"},
    "qwen2-vl-2b_latex-ocr_lora": {
        "model": "Qwen/Qwen2-VL-2B-Instruct",
        "data": {"path": "modelscope:AI-ModelScope/LaTeX_OCR", "subset": "default", "max_tokens": 8192},
        "adapter": {"rank": 64, "alpha": 16, "dropout": 0.05, "targets": tuple(SEVEN)},
        "train": {"epochs": 2, "steps": None, "batch_size": 4, "gradient_accumulation": 4},
        "optimizer": {**LINEAR, "learning_rate": 1e-4},
        "logging": {"every_steps": 10},
        "checkpoints": {"every_steps": 100},
        "evaluate": {"max_new_tokens": 8192},
        "prompt": "你是一个LaText OCR助手,目标是读取用户输入的照片，转换成LaTex公式。",
        "splits": {"train": "train[:996]", "validation": None, "test": "train[996:1000]"},
        "covered": {"text-attention": 8, "text-mlp": 6},
    },
    "qwen3-vl-8b_latex-ocr_lora": S3,
    "qwen3-vl-8b_latex-ocr_modules-to-save": {
        **S3,
        "adapter": {**S3["adapter"], "modules_to_save": ("lm_head", "embed_tokens")},
        "covered": {**S3["covered"], "embed": 1, "head": 1},
    },
    "qwen3-vl-8b_latex-ocr_qlora": S3_4BIT,
    "qwen3-vl-8b_latex-ocr_loftq": {
        **S3_4BIT,
        "adapter": {**S3_4BIT["adapter"], "rslora": False, "init": "loftq"},
    },
    "qwen3-vl-4b_coco-caption_qlora": S4,
    "qwen3-vl-4b_coco-caption_moe-lora": {
        **S4,
        "base": {"quantize": "none"},
        "adapter": {**S4["adapter"], "kind": "moe-lora", "experts": 2},
        "tensors": 3,
    },
    "qwen2.5-vl-7b_latex-ocr_qlora": {
        "model": "Qwen/Qwen2.5-VL-7B-Instruct",
        "data": {"path": "unsloth/LaTeX_OCR", "system_prompt": None, "max_tokens": 2048},
        "base": {"quantize": "nf4"},
        "adapter": {
            "rank": 16,
            "alpha": 16,
            "dropout": 0.0,
            "targets": ("text-attention", "text-mlp", "vision"),
            "vision": None,
        },
        "train": {"epochs": None, "steps": 10, "batch_size": 2, "gradient_accumulation": 4, "seed": 3407},
        "optimizer": UNSLOTH,
        "logging": {"every_steps": 5},
        "evaluate": {"max_new_tokens": 512},
        "prompt": "为图片生成LaTeX表达式<image>",
        "covered": {"text-attention": 8, "text-mlp": 6, "vision": 10},
    },
    "qwen3-vl-4b_latex-ocr_qlora-8gb": {
        "model": "Qwen/Qwen3-VL-4B-Instruct",
        "base": {"quantize": "nf4", "double_quantize": True},
        "adapter": {"rank": 8, "alpha": 16, "dropout": 0.05, "targets": ("text-attention",)},
        "train": {"epochs": 5, "steps": None, "batch_size": 1, "gradient_accumulation": 8},
        "splits": {"train": "train[:496]", "validation": None, "test": "train[496:500]"},
        "covered": {"text-attention": 8},
    },
    "qwen3-vl-4b_latex-ocr_moe-lora": {
        "model": "Qwen/Qwen3-VL-4B-Instruct",
        "adapter": {"kind": "moe-lora", "experts": 2, "rank": 8, "top_k": None},
        "covered": {"text-attention": 8, "text-mlp": 6},
        "tensors": 3,
    },
    "qwen3-vl-30b-a3b_latex-ocr_experts": {
        "model": "Qwen/Qwen3-VL-30B-A3B-Instruct",
        "adapter": {"rank": 16, "targets": ("text-attention",)},
        "covered": {"text-attention": 8, "experts": 4},
    },
    "qwen3-vl-4b_coco-caption_lora": {
        "model": "Qwen/Qwen3-VL-4B-Instruct",
        "adapter": {"rank": 16, "alpha": 32, "targets": ("text-attention", "text-mlp")},
        "prompt": "Describe this image in one sentence.",
        "covered": {"text-attention": 8, "text-mlp": 6},
    },
    "nano_latex-ocr_grpo": {
        "model": "nano",
        "adapter": {"rank": 16, "alpha": 32, "targets": ("all-linear",)},
        "objective": {"kind": "grpo", "answers": 8, "max_new_tokens": 128, "kl": 0.0, "updates": 1},
        "validation": {"generation_rows": 100, "best_by": "exact_match_canonical"},
        "covered": {"text-attention": 8, "text-mlp": 6, "vision": 12, "merger": 6},
    },
    "qwen3-vl-4b_latex-ocr_grpo": {"model": "Qwen/Qwen3-VL-4B-Instruct", **GRPO},
    "qwen3-vl-2b_latex-ocr_grpo": {"model": "Qwen/Qwen3-VL-2B-Instruct", **GRPO},
    "nano_coco-caption_lora": {
        "model": "nano",
        "adapter": {"targets": ("all-linear",)},
        "prompt": "Describe this image in one sentence.",
        "covered": {"text-attention": 8, "text-mlp": 6, "vision": 12, "merger": 6},
    },
    "nano_latex-ocr_lora": {
        "model": "nano",
        "adapter": {"targets": ("all-linear",)},
        "covered": {"text-attention": 8, "text-mlp": 6, "vision": 12, "merger": 6},
    },
}
"""What the scripts of the five tutorials set, key by key (docs/tutorials/classic-recipes.md). `covered` counts adapted
layers of the tiny model, `tensors` those that are saved of each."""


@pytest.mark.parametrize("name", SETTINGS)
def test_a_recipe_has_the_settings_it_is_known_for(name):
    config, expected = load_config(RECIPES / f"{name}.yaml"), SETTINGS[name]
    branches = {
        "adapter": config.adapter,
        "base": config.base,
        "vision": getattr(config.adapter, "vision", None),
        "train": config.train,
        "optimizer": config.train.optimizer,
        "compute": config.train.compute,
        "validation": config.train.validation,
        "logging": config.train.logging,
        "checkpoints": config.train.checkpoints,
        "evaluate": config.evaluate,
        "objective": config.train.objective,
        "data": config.data,
        "splits": config.data.splits,
    }
    assert config.model.path == expected["model"]
    assert config.data.prompt == expected.get("prompt", config.data.prompt)
    for branch, settings in branches.items():
        assert {key: getattr(settings, key) for key in expected.get(branch, {})} == expected.get(branch, {}), branch


def test_every_recipe_is_in_the_table_above():
    assert {file.stem for file in ALL} == set(SETTINGS)


@pytest.mark.parametrize(
    "recipe", later(ALL, in_short=[RECIPES / f"{name}.yaml" for name in IN_SHORT]), ids=lambda file: file.stem
)
def test_a_recipe_trains_compares_and_reports(recipe, texlens, tiny_checkpoints, tmp_path):
    config = load_config(recipe)
    family = family_of(bundled_config(config.model.path) or {}, str(recipe)).model_type
    data = write_splits_of(config, tmp_path / "data")
    run = tmp_path / "runs" / config.name

    done = texlens(
        *("train", recipe, "--json"),
        *("--set", f"output={tmp_path / 'runs'}"),
        *("--set", f"model.path={tiny_checkpoints[family]}"),
        *("--set", f"data.path={data}"),
        *("--set", "train.steps=2"),
        *(("--set", "adapter.init=default") if getattr(config.adapter, "init", "") == "loftq" else ()),
        *("--set", "train.optimizer.name=adamw"),
        *("--set", "evaluate.max_new_tokens=8"),
        *(("--set", "train.objective.max_new_tokens=8") if config.train.objective.kind == "grpo" else ()),
        *(() if torch.cuda.is_available() and CAN_PACK else ("--set", "base.quantize=none")),
    )

    assert done.code == 0, done.err
    assert done.json["training"]["steps"] == 2
    assert done.json["comparison"]["rows"] == 4
    check_files(run, config)
    check_adapter(run, config, SETTINGS[recipe.stem]["covered"], SETTINGS[recipe.stem].get("tensors", 2))
    report = (run / "report.html").read_text(encoding="utf-8")
    assert config.name in report
    assert "data:image/" in report


def write_splits_of(config: RunConfig, folder: Path) -> Path:
    """A data set in the hubs' layout with the splits and as many rows as the recipe names."""
    home = folder / config.data.subset if config.data.subset else folder
    rows = {}
    for split in config.data.splits.model_dump().values():
        if isinstance(split, str):
            last = re.search(r":([\d.]+)\]", split)
            name = re.split(r"[@\[]", split)[0]
            rows[name] = max(rows.get(name, 0), _rows_for(name, last[1] if last else ""))
    for name, count in rows.items():
        write_rows(home / f"{name}-00000-of-00001.parquet", [LABELS[row % len(LABELS)] for row in range(count)])
    return folder


def _rows_for(name: str, bound: str) -> int:
    """How many rows a split gets: 4 to measure on, and 12, 4 or as many as its bound says to train on."""
    if "." in bound:
        return round(4 / float(bound))
    return int(bound) if bound and name == "train" else 12 if name == "train" else 4


def check_files(run: Path, config: RunConfig) -> None:
    """Everything that the run folder promises, see `core/run_folder.py`."""
    for name in (
        *("config.yaml", "run.json", "environment.json", "data.json", "coverage.json", "metrics.jsonl", "loss.png"),
        *("checkpoints/checkpoint-2/optimizer.safetensors", "checkpoints/checkpoint-2/checksums.json"),
        *("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "adapter/texlens.json"),
        *("predictions/test.base.jsonl", "predictions/test.adapter.jsonl"),
        *("scores/test.base.json", "scores/test.adapter.json", "scores/compare.test.json", "report.html"),
    ):
        assert (run / name).is_file(), name
        assert (run / name).stat().st_size > 0, name
    saved_config = load_config(run / "config.yaml")
    assert saved_config.data.splits == config.data.splits
    assert saved_config.adapter.model_dump(exclude={"init"}) == config.adapter.model_dump(exclude={"init"})
    measured = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert ("eval_loss" in {key for row in measured for key in row}) == (config.data.splits.validation is not None)


def check_adapter(run: Path, config: RunConfig, covered: dict[str, int], tensors: int) -> None:
    saved = json.loads((run / "adapter/adapter_config.json").read_text())
    assert not isinstance(config.adapter, FullSettings)
    assert (saved["r"], saved["lora_alpha"], saved["lora_dropout"]) == (
        config.adapter.rank,
        config.adapter.alpha,
        config.adapter.dropout,
    )
    coverage = {row["group"]: row for row in json.loads((run / "coverage.json").read_text())}
    assert {group: row["matched"] for group, row in coverage.items() if row["matched"]} == covered
    weights = load_file(run / "adapter/adapter_model.safetensors")
    lora = {name: tensor for name, tensor in weights.items() if "lora_" in name or tensors == 3}
    assert len(lora) == tensors * sum(count for group, count in covered.items() if group not in ("embed", "head"))
    parameters = sum(row["parameters"] for row in coverage.values() if not row.get("full"))
    assert sum(tensor.numel() for tensor in lora.values()) == parameters
    assert (len(weights) > len(lora)) == ("embed" in covered)
    ranks = {tensor.shape[0] for name, tensor in weights.items() if "visual.blocks" in name and "lora_A" in name}
    if vision := getattr(config.adapter, "vision", None):
        assert ranks == {vision.rank}
    assert any(tensor.any() for name, tensor in weights.items() if "lora_B" in name), "nothing was learnt"


def test_the_recipe_with_8_bit_optimizer_says_in_one_line_that_it_needs_a_gpu(texlens, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = texlens("train", RECIPES / "qwen2.5-vl-7b_latex-ocr_qlora.yaml")

    assert done.code == 2
    assert done.err == "texlens: train.optimizer.name: adamw-8bit needs a GPU; use adamw\n"
