from tests.unit.cli.measuring.refusals import RUN, refused


def test_split_is_checked_before_a_model_is_loaded():
    assert "did you mean test?" in refused("compare", str(RUN), "--split", "tets")


def test_a_folder_given_twice_is_refused(tmp_path):
    assert "named twice" in refused("compare", str(RUN), str(tmp_path), str(tmp_path))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    assert "not a run folder" in refused("compare", str(tmp_path))
