"""What W&B is started with."""


def test_wandb_has_project_experiment_tags_and_configuration(started, run, tmp_path):
    assert started("wandb", run) == {
        "project": "project",
        "name": "experiment",
        "tags": ["nano", "test"],
        "config": {"train": {"steps": 2}},
        "dir": str(tmp_path),
    }
