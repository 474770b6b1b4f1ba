from texlens.evaluation.expert_utilization import dead_experts, last_use


def test_experts_that_get_hardly_a_token_are_named():
    assert dead_experts({"q": [0.97, 0.03], "k": [0.5, 0.5]}) == [("q", 1)]


def test_the_last_measurement_counts():
    history = [{"step": 1, "expert_use": {"q": [1.0, 0.0]}}, {"step": 2, "expert_use": {"q": [0.5, 0.5]}}, {"loss": 1}]
    assert last_use(history) == {"q": [0.5, 0.5]}
    assert last_use([{"loss": 1}]) == {}
