from texlens.models.sharding.division import WHOLE, Division


def test_division_is_written_as_in_the_run_file():
    assert Division(True, False).to_json() == {"weights": "shard", "experts": "replicate"}


def test_only_a_division_needs_processes_in_step():
    assert not WHOLE.is_divided
    assert Division(experts=True).is_divided
    assert Division(weights=True).is_divided
