"""Whole runs of tiny Qwen3.5 checkpoints: resuming, cached features and recomputation change no bit of the adapter.

With FIT_NANO=1 (`make test-all`): a minute of training.
"""

import os
import shutil

import pytest
import torch

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import losses, run_training, same_weights
from tests.integration.conftest import LABELS, write_rows
from tests.integration.test_engines import ADAPTER
from tests.integration.test_training import adapter, settings
from texlens.config.load import build_config, dump_config
from texlens.core.run_folder import RunFolder

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.environ.get("FIT_NANO") != "1", reason="a minute of training: FIT_NANO=1, or make test-all"),
]


@pytest.fixture(scope="module", params=["qwen3_5", "qwen3_5_moe"])
def tiny(tmp_path_factory, request):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), request.param)


def config_of(tiny, output, **train):
    write_rows(output / "rows/train-00000-of-00001.parquet", LABELS)
    values = settings(tiny, output, **{"steps": 4, "optimizer": {"schedule": "constant"}, **train})
    data = {"path": str(output / "rows"), "splits": {"validation": None, "test": None}}
    return build_config({**values, **ADAPTER, "data": data})


def run(tiny, output, name: str, **train) -> RunFolder:
    config = config_of(tiny, output, **train)
    folder = RunFolder.create(output, name, dump_config(config))
    run_training(config, folder)
    return folder


def test_a_resumed_run_ends_with_the_weights_of_one_that_never_stopped(tiny, tmp_path):
    folder = run(tiny, tmp_path, "run")
    expected = adapter(folder)
    shutil.rmtree(folder.checkpoints / "checkpoint-4")
    folder.update(state="training")
    run_training(config_of(tiny, tmp_path), folder, resume=True)
    assert same_weights(adapter(folder), expected)


def test_cached_features_and_recomputed_layers_give_the_same_losses_and_weights(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))
    plain = run(tiny, tmp_path, "plain")
    cached = run(tiny, tmp_path, "cached", cache_features="on")
    recomputed = run(tiny, tmp_path, "recomputed", compute={"recompute": "full"})
    for other in (cached, recomputed):
        assert losses(other) == pytest.approx(losses(plain), abs=1e-5)
        for name, weights in adapter(other).items():
            torch.testing.assert_close(weights, adapter(plain)[name], atol=1e-5, rtol=1e-4)
