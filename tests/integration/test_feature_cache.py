"""Runs that cache the features of a frozen vision tower, compared with the same runs without cache."""

import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import losses, run_training, same_weights
from tests.integration.test_engines import ADAPTER
from tests.integration.test_training import adapter, settings
from texlens.config.load import build_config
from texlens.core.errors import ConfigError, RunError
from texlens.core.run_folder import RunFolder
from texlens.inputs.feature_cache import FeatureStore
from texlens.models.packed.vision import PackedVision
from texlens.training.backends.packed import PackedBackend

LENGTH = {"steps": None, "epochs": 2, "batch_size": 4, "checkpoints": {"every_steps": 1}}
COMPUTE = {"compute": {"pack_tokens": 256}}
VALIDATED = {"data": {"path": "demo", "splits": {"train": "train[:9]", "validation": "train[9:12]"}}}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/features"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen3_vl")


@pytest.fixture
def tower_patches(monkeypatch):
    """Patches of each forward pass of the tower."""
    counts, features = [], PackedVision._features

    def counted(self, pack):
        counts.append(len(pack["patches"]))
        return features(self, pack)

    monkeypatch.setattr(PackedVision, "_features", counted)
    return counts


def config_of(tiny, output, changes=None, **train_changes):
    values = settings(tiny, output, **{**LENGTH, **COMPUTE, **train_changes})
    return build_config({**values, **ADAPTER, **VALIDATED, **(changes or {})})


def run(tiny, output, changes=None, **train_changes) -> RunFolder:
    config = config_of(tiny, output, changes, **train_changes)
    folder = RunFolder.create(output, "run")
    run_training(config, folder)
    return folder


def measured(folder: RunFolder) -> list[float]:
    return [row["eval_loss"] for row in folder.history() if "eval_loss" in row]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_each_image_goes_through_the_tower_once_and_losses_are_equal(family, tmp_path, cache, tower_patches):
    tiny = write_tiny_checkpoint(tmp_path / "tiny", family)
    off = run(tiny, tmp_path)
    without, tower_patches[:] = sum(tower_patches), []
    on = run(tiny, tmp_path, cache_features="on")
    assert sum(tower_patches) * 2 == without
    assert len(measured(on)) == 2
    assert losses(on) == pytest.approx(losses(off), rel=1e-6)
    assert measured(on) == pytest.approx(measured(off), rel=1e-6)
    tower_patches[:] = []
    again = run(tiny, tmp_path, cache_features="on")
    assert tower_patches == []
    assert losses(again) == losses(on)
    assert same_weights(adapter(again), adapter(on))
    assert "; about 0 MiB will be added" in again.manifest["engine"]["notes"][0]
    assert len(list(cache.glob("*"))) == 1


def test_run_killed_in_the_first_epoch_and_resumed_ends_as_an_uninterrupted_one(tiny, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    train_step = PackedBackend.train_step

    def stop_after_the_second_step(backend, model, batch, step):
        result = train_step(backend, model, batch, step)
        if step.number == 2:
            raise KilledError
        return result

    config = config_of(tiny, tmp_path, cache_features="on")
    folder = RunFolder.create(tmp_path, "run")
    monkeypatch.setattr(PackedBackend, "train_step", stop_after_the_second_step)
    with pytest.raises(KilledError):
        run_training(config, folder)
    monkeypatch.setattr(PackedBackend, "train_step", train_step)
    run_training(config, folder, resume=True)
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "another"))
    whole = run(tiny, tmp_path, cache_features="on")
    assert losses(folder) == losses(whole)
    assert same_weights(adapter(folder), adapter(whole))


def test_trained_vision_tower_is_refused(tiny, tmp_path):
    for part in ("vision", "merger"):
        changes = {"adapter": {**ADAPTER["adapter"], part: {"rank": 4, "alpha": 8}}}
        with pytest.raises(ConfigError, match=r"train\.cache_features: on needs a frozen vision tower.*; set"):
            run(tiny, tmp_path, changes, cache_features="on")


def test_augmented_images_and_the_plain_backend_are_refused_before_anything_is_loaded(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.cache_features: on can't be used with data\.augment"):
        config_of(tiny, tmp_path, {"data": {**VALIDATED["data"], "augment": "formula"}}, cache_features="on")
    with pytest.raises(ConfigError, match=r"train\.cache_features: on needs the packed backend; set"):
        config_of(tiny, tmp_path, compute={"backend": "plain"}, cache_features=True)
    with pytest.raises(ConfigError, match=r"needs the packed backend \(plain backend.*model\.attention is eager"):
        run(tiny, tmp_path, {"model": {"path": str(tiny), "attention": "eager"}}, cache_features="on")


def test_full_disk_is_reported_before_training(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(FeatureStore, "free_bytes", lambda store: 5 << 10)
    with pytest.raises(RunError, match=r"train\.cache_features: the features need about .* MiB in .* are free"):
        run(tiny, tmp_path, cache_features="on")
