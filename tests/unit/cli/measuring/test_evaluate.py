from tests.unit.cli.measuring.refusals import RUN, refused


def test_a_checkpoint_needs_rows():
    error = refused("evaluate", "nano")
    assert "to score a checkpoint, name the rows with --data PATH" in error


def test_subset_belongs_to_data():
    assert "--subset belongs to --data" in refused("evaluate", str(RUN), "--subset", "small")


def test_a_checkpoint_is_one_system():
    assert "--system base: nano is one system" in refused("evaluate", "nano", "--data", "demo", "--system", "base")


def test_split_of_a_run_is_checked_before_a_model_is_loaded():
    assert "did you mean validation?" in refused("evaluate", str(RUN), "--split", "validaton")
