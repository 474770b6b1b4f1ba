from tests.fixtures.tiny_models import tiny_config, write_tiny_checkpoint
from texlens.adapters.build import build_plan
from texlens.config.load import build_config
from texlens.models.families import family_of
from texlens.models.sharding.division import WHOLE
from texlens.planner.gpus import find_gpu
from texlens.training.distributed import choose_division as module
from texlens.training.distributed.choose_division import choose_division, division_note
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext


class Two(DistributedContext):
    """The main one of two processes that do not exist."""

    def broadcast(self, compute):
        return compute()


def config_of(folder, **changes):
    return build_config({"model": {"path": str(folder)}, "data": {"path": "demo"}, **changes})


def choose(folder, family: str, context, **changes):
    config = config_of(folder, **{"adapter": {"targets": ["text-attention"]}, **changes})
    plan = build_plan(config.adapter, family_of(tiny_config(family)), tiny_config(family))
    return choose_division(config, folder, plan, context)


def test_one_process_has_all_weights(tmp_path):
    write_tiny_checkpoint(tmp_path)
    sharded = {"train": {"parallel": {"weights": "shard"}}}
    assert choose(tmp_path, "qwen3_vl", SINGLE_PROCESS, **sharded) == WHOLE
    assert division_note(config_of(tmp_path, **sharded), SINGLE_PROCESS) == [
        "train.parallel: one process has all weights; divide them with --processes or torchrun"
    ]
    assert division_note(config_of(tmp_path), SINGLE_PROCESS) == []


def test_processes_divide_as_they_are_asked_to(tmp_path):
    write_tiny_checkpoint(tmp_path)
    two = Two(1, 2, 1, 2)
    division = choose(tmp_path, "qwen3_vl", two, train={"parallel": {"weights": "shard"}})
    assert (division.weights, division.experts, division.rank, division.processes) == (True, False, 1, 2)
    assert not choose(tmp_path, "qwen3_vl", two).is_divided


def test_memory_decides_on_a_gpu(tmp_path, monkeypatch):
    write_tiny_checkpoint(tmp_path, "qwen3_vl_moe")
    monkeypatch.setattr(module, "local_gpu", lambda: find_gpu("h200"))
    two = Two(0, 2, 0, 2)
    assert not choose(tmp_path, "qwen3_vl_moe", two).is_divided
    small = {"train": {"compute": {"memory_gib": 0.0626, "pack_tokens": 256}}}
    assert choose(tmp_path, "qwen3_vl_moe", two, **small).is_divided
