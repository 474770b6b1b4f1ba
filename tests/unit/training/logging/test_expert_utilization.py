"""The use of experts over processes."""

from texlens.training.logging.expert_utilization import mean_utilization


def test_expert_utilization_is_the_mean_over_processes_that_used_the_layer():
    use = [{"a": [0.5, 0.5], "b": [1.0, 0.0]}, {"a": [0.0, 1.0]}]
    assert mean_utilization(use) == {"a": [0.25, 0.75], "b": [1.0, 0.0]}
    assert mean_utilization([{}, {}]) == {}
