"""What a comparison of two arms says, and which settings an arm has."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from grpo_nano import best, compared


def test_points_and_p_are_over_the_rows_of_all_seeds():
    continued = [np.zeros(8), np.array([1.0, 1, 0, 0, 0, 0, 0, 0])]
    grpo = [np.array([1.0, 1, 1, 0, 0, 0, 0, 0]), np.array([0.0, 1, 1, 1, 1, 0, 0, 0])]
    result = compared(grpo, continued)
    assert (result["only_first"], result["only_second"], result["points"]) == (6, 1, 31.25)
    assert result["p"] == 0.125
    assert [seed["points"] for seed in result["seeds"]] == [37.5, 25.0]


def test_an_arm_has_the_settings_that_read_most_validation_rows():
    read = {"grpo-a": [True, False], "grpo-b": [True, True]}

    class Study:
        options = SimpleNamespace(seeds=[0, 1])

        def scores(self, name, seed, kind):
            assert kind == "validation"
            return {"demo": {"canonical": read[name], "cdm_f1": [1.0, 1.0]}}

    assert best(Study(), ["grpo-a", "grpo-b"]) == "grpo-b"
