from tests.unit.cli.measuring.refusals import RUN, refused


def test_a_split_without_predictions_is_refused():
    assert "no predictions of base on validation" in refused("report", str(RUN), "--split", "validation")


def test_split_is_checked():
    assert "did you mean test?" in refused("report", str(RUN), "--split", "tets")
