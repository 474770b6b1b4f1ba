"""Runs that keep the features of a frozen tower, against the same runs without."""

import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration.test_engines import ADAPTER
from tests.integration.test_training import CONSOLE, adapter, losses, settings
from texlens.adapters.lora import same_weights
from texlens.config.load import build_config
from texlens.core.errors import ConfigError, RunError
from texlens.core.run_folder import RunFolder
from texlens.inputs.feature_cache import FeatureStore
from texlens.models.packed.vision import PackedVision
from texlens.train.run import prepare, train
from texlens.train.trainer import LensTrainer

LENGTH = {"steps": None, "epochs": 2, "batch_size": 4, "checkpoints": {"every_steps": 1}, "pack_tokens": 256}
VALIDATED = {"data": {"path": "demo", "splits": {"train": "train[:9]", "validation": "train[9:12]"}}}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/features"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen3_vl")


@pytest.fixture
def through_the_tower(monkeypatch):
    """Patches of each run of the tower."""
    seen, features = [], PackedVision._features

    def counted(self, pack):
        seen.append(len(pack["patches"]))
        return features(self, pack)

    monkeypatch.setattr(PackedVision, "_features", counted)
    return seen


def config_of(tiny, output, changes=None, **train_changes):
    values = settings(tiny, output, **{**LENGTH, **train_changes})
    return build_config({**values, **ADAPTER, **VALIDATED, **(changes or {})})


def run(tiny, output, changes=None, **train_changes) -> RunFolder:
    config = config_of(tiny, output, changes, **train_changes)
    folder = RunFolder.create(output, "run")
    train(config, prepare(config, CONSOLE), folder, console=CONSOLE)
    return folder


def measured(folder: RunFolder) -> list[float]:
    return [row["eval_loss"] for row in folder.history() if "eval_loss" in row]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_the_tower_sees_each_image_once_and_losses_stay(family, tmp_path, cache, through_the_tower):
    tiny = write_tiny_checkpoint(tmp_path / "tiny", family)
    off = run(tiny, tmp_path)
    without, through_the_tower[:] = sum(through_the_tower), []
    on = run(tiny, tmp_path, cache_features="on")
    assert sum(through_the_tower) * 2 == without
    assert len(measured(on)) == 2
    assert losses(on) == pytest.approx(losses(off), rel=1e-6)
    assert measured(on) == pytest.approx(measured(off), rel=1e-6)
    through_the_tower[:] = []
    again = run(tiny, tmp_path, cache_features="on")
    assert through_the_tower == []
    assert losses(again) == losses(on)
    assert same_weights(adapter(again), adapter(on))
    assert "; about 0 MiB will be added" in again.manifest["engine"]["notes"][0]
    assert len(list(cache.glob("*"))) == 1


def test_a_run_stopped_in_the_first_epoch_and_resumed_ends_as_one_never_stopped(tiny, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    packed_step = LensTrainer._packed_step

    def stop_after_the_second_step(trainer, *arguments):
        result = packed_step(trainer, *arguments)
        if trainer.state.global_step == 1:
            raise KilledError
        return result

    config = config_of(tiny, tmp_path, cache_features="on")
    folder = RunFolder.create(tmp_path, "run")
    monkeypatch.setattr(LensTrainer, "_packed_step", stop_after_the_second_step)
    with pytest.raises(KilledError):
        train(config, prepare(config, CONSOLE), folder, console=CONSOLE)
    monkeypatch.setattr(LensTrainer, "_packed_step", packed_step)
    train(config, prepare(config, CONSOLE), folder, console=CONSOLE, resume=True)
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "another"))
    whole = run(tiny, tmp_path, cache_features="on")
    assert losses(folder) == losses(whole)
    assert same_weights(adapter(folder), adapter(whole))


def test_a_tower_that_is_trained_is_refused(tiny, tmp_path):
    for part in ("vision", "merger"):
        changes = {"adapter": {**ADAPTER["adapter"], part: {"rank": 4, "alpha": 8}}}
        with pytest.raises(ConfigError, match=r"train\.cache_features: on needs a frozen vision tower.*; set"):
            run(tiny, tmp_path, changes, cache_features="on")


def test_changed_images_and_the_plain_engine_are_refused_before_anything_is_loaded(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.cache_features: on can't be used with data\.augment"):
        config_of(tiny, tmp_path, {"data": {**VALIDATED["data"], "augment": "formula"}}, cache_features="on")
    with pytest.raises(ConfigError, match=r"train\.cache_features: on needs the packed engine; set"):
        config_of(tiny, tmp_path, engine="plain", pack_tokens="auto", cache_features=True)
    with pytest.raises(ConfigError, match=r"needs the packed engine \(engine plain.*model\.attention is eager"):
        run(tiny, tmp_path, {"model": {"path": str(tiny), "attention": "eager"}}, cache_features="on")


def test_a_disk_without_room_stops_the_run_before_it_begins(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(FeatureStore, "free_bytes", lambda store: 5 << 10)
    with pytest.raises(RunError, match=r"train\.cache_features: the features need about .* MiB in .* are free"):
        run(tiny, tmp_path, cache_features="on")
