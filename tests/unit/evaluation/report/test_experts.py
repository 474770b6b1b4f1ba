from texlens.evaluation.report.experts import dead_line, expert_chart

USE = {"layers.0.q_proj": [0.97, 0.03], "layers.0.k_proj": [0.5, 0.5]}


def test_every_expert_of_every_layer_has_a_cell_with_its_share():
    drawn = expert_chart(USE)
    assert drawn.count("<rect") == 4
    assert "layers.0.q_proj, expert 2: 3.0%" in drawn


def test_dead_experts_are_named_and_their_absence_is_reported():
    assert dead_line(USE) == "Dead (under a tenth of an even share): layers.0.q_proj expert 2."
    assert dead_line({"q": [0.5, 0.5]}).startswith("No expert is dead")


def test_without_a_measurement_there_is_nothing():
    assert expert_chart({}) == dead_line({}) == ""
