import pytest

from texlens.adapters.linears import Linear
from texlens.adapters.plan import Coverage, plan_adapter
from texlens.core.errors import ConfigError

LINEARS = [
    Linear("text.0.q_proj", 8, 8),
    Linear("text.0.k_proj", 8, 4),
    Linear("text.0.up_proj", 8, 16),
    Linear("vision.0.qkv", 4, 12),
    Linear("lm_head", 8, 100),
]
GROUPS = {
    "text-attention": r"text\.\d+\.(q_proj|k_proj)",
    "text-mlp": r"text\.\d+\.(up_proj)",
    "vision": r"vision\.\d+\.(qkv)",
}


def plan(targets, own=None):
    return plan_adapter(
        LINEARS, GROUPS, targets=targets, rank=2, alpha=4, own=own, all_linear=("text-attention", "text-mlp", "vision")
    )


def test_a_group_is_covered_and_the_others_are_listed_with_nothing():
    assert plan(["text-attention"]).coverage == (
        Coverage("text-attention", 2, 2, 2 * (16 + 12)),
        Coverage("text-mlp", 0, 1, 0),
        Coverage("vision", 0, 1, 0),
    )


def test_leaf_names_and_patterns_are_targets_too():
    assert plan(["q_proj"]).trainable == 2 * 16
    assert plan([r"regex:text\..*"]).modules == 3


def test_all_linear_leaves_the_head_alone():
    covered = plan(["all-linear"])
    assert covered.modules == 4
    assert "other" not in [row.group for row in covered.coverage]


def test_experts_of_a_mixture_are_listed_as_not_adapted():
    covered = plan_adapter(LINEARS, GROUPS, targets=["q_proj"], rank=2, alpha=4, expert_stacks=6)
    assert covered.coverage[-1] == Coverage("experts", 0, 6, 0)


def test_a_group_of_its_own_rank_costs_by_that_rank():
    covered = plan(["text-mlp"], own={"vision": (1, 8.0)})
    assert covered.trainable == 2 * 24 + 1 * 16
    assert (covered.ranks, covered.alphas) == ({GROUPS["vision"]: 1}, {GROUPS["vision"]: 8.0})


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("text-atention", "did you mean 'text-attention'"),
        ("q_pro", "did you mean 'q_proj'"),
        ("regex:nothing.*", "matches no linear layer"),
        ("regex:(", "no regular expression"),
    ],
)
def test_a_target_that_matches_nothing_is_an_error(target, said):
    with pytest.raises(ConfigError, match=r"adapter\.targets") as caught:
        plan(["text-mlp", target])
    assert said in str(caught.value)
