"""Adapters switched on one base."""

import httpx
import pytest
import torch

from tests.unit.inference.shared_base import IMAGE, KINDS, MOE_LORA, SAMPLE, made_run, read_directly
from tests.unit.serve.conftest import serving
from texlens.config.load import load_config
from texlens.inference.open import open_model
from texlens.inference.open_shared import base_of
from texlens.inference.opening.source import resolve_run_base
from texlens.inference.scheduling.scheduler import open_scheduler
from texlens.serve.settings import ServeSettings


@pytest.mark.parametrize("kind", [kind for kind, (_, adapter) in KINDS.items() if adapter.get("kind") != "full"])
def test_base_under_an_adapter_equals_the_base_alone(kind, tmp_path):
    family, adapter = KINDS[kind]
    run = made_run(tmp_path, kind, family, adapter)
    adapted = open_model(run.path)
    base = open_model(resolve_run_base(load_config(run.config), run))

    logits = adapted.next_token_logits([SAMPLE])
    assert torch.equal(base_of(adapted).next_token_logits([SAMPLE]), base.next_token_logits([SAMPLE]))
    assert not torch.equal(logits, base.next_token_logits([SAMPLE]))
    assert torch.equal(adapted.next_token_logits([SAMPLE]), logits), "the adapter is active again"


def test_two_moe_lora_runs_take_turns_on_one_base(tmp_path):
    runs = [made_run(tmp_path, name, "qwen3_vl", MOE_LORA) for name in ("one", "second")]
    with open_scheduler([str(run.path) for run in runs]) as scheduler, serving(scheduler, ServeSettings()) as url:
        for run in runs:
            data = {"model": run.path.name, "max_tokens": "6"}
            answer = httpx.post(f"{url}/v1/read", files={"file": IMAGE}, data=data, timeout=300).json()
            assert (answer["model"], answer["raw"]) == (run.path.name, read_directly(run))
