"""Settings of runs that are planned."""

from texlens.config.load import build_config


def config_of(batch_size: int = 8, **compute):
    train = {"epochs": 1, "batch_size": batch_size, "compute": compute}
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": train})
