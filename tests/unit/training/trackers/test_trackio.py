"""What trackio is started with."""


def test_trackio_has_its_tags_in_the_configuration(started, run):
    assert started("trackio", run) == {
        "project": "project",
        "name": "experiment",
        "config": {"train": {"steps": 2}, "tags": ["nano", "test"]},
    }
