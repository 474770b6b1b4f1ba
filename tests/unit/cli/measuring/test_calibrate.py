from tests.unit.cli.measuring.refusals import RUN, refused


def test_split_is_checked_before_a_model_is_loaded():
    assert "did you mean test?" in refused("calibrate", str(RUN), "--split", "tets")
