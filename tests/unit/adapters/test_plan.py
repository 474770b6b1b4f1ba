import pytest

from texlens.adapters.model_layout import Linear, Parts, Stack
from texlens.adapters.plan import (
    Coverage,
    Own,
    covered_modules,
    covered_stacks,
    lora_cost,
    plan_adapter,
)
from texlens.core.errors import ConfigError

LAYER = "model.language_model.layers"
LINEARS = (
    Linear(f"{LAYER}.0.q_proj", 8, 8),
    Linear(f"{LAYER}.0.k_proj", 8, 4),
    Linear(f"{LAYER}.1.up_proj", 8, 16),
    Linear("vision.0.qkv", 4, 12),
    Linear("lm_head", 8, 100),
)
GROUPS = {
    "text-attention": r"model\.language_model\.layers\.\d+\.(q_proj|k_proj)",
    "text-mlp": r"model\.language_model\.layers\.\d+\.(up_proj)",
    "vision": r"vision\.\d+\.(qkv)",
}
EMBEDDING = "model.language_model.embed_tokens"
STACKS = (Stack(f"{LAYER}.0.experts.down_proj", 4, 2, 8), Stack(f"{LAYER}.1.experts.down_proj", 4, 2, 8))


def plan(targets, **options):
    return plan_adapter(Parts(LINEARS), GROUPS, targets=targets, rank=2, alpha=4, all_linear=tuple(GROUPS), **options)


def test_a_group_is_covered_and_the_others_are_listed_with_nothing():
    assert plan(["text-attention"]).coverage == (
        Coverage("text-attention", 2, 2, 2 * (16 + 12)),
        Coverage("text-mlp", 0, 1, 0),
        Coverage("vision", 0, 1, 0),
    )


def test_leaf_names_and_patterns_are_targets_too():
    assert plan(["q_proj"]).trainable == 2 * 16
    assert plan([r"regex:model\..*"]).modules == 3


def test_all_linear_leaves_the_head_alone():
    covered = plan(["all-linear"])
    assert covered.modules == 4
    assert "other" not in [row.group for row in covered.coverage]


def test_experts_routers_embedding_and_head_are_listed_as_not_adapted():
    parts = Parts(LINEARS, STACKS, 2, {EMBEDDING: 80, "lm_head": 80})
    covered = plan_adapter(parts, GROUPS, targets=["q_proj"], rank=2, alpha=4)
    assert covered.coverage[-4:] == (
        Coverage("experts", 0, 2, 0),
        Coverage("router", 0, 2, 0),
        Coverage("embed", 0, 1, 0),
        Coverage("head", 0, 1, 0),
    )


def test_a_group_of_its_own_rank_costs_by_that_rank():
    covered = plan(["text-mlp"], own={"vision": Own(1, 8)})
    assert covered.trainable == 2 * 24 + 1 * 16
    assert (covered.ranks, covered.alphas) == ({GROUPS["vision"]: 1}, {GROUPS["vision"]: 8})


def test_dora_costs_one_magnitude_an_output():
    assert plan(["q_proj"], cost=lora_cost(dora=True)).trainable == 2 * 16 + 8


@pytest.mark.parametrize(("layers", "modules"), [("0", 3), ("1", 2), ("0-1", 4), ("0,1", 4), (r"regex:.*\.0\..*", 3)])
def test_layers_narrow_the_language_model_and_a_pattern_narrows_all(layers, modules):
    targets = ["q_proj", "k_proj", "up_proj", "qkv"]
    if layers == "1":
        targets = ["up_proj", "qkv"]
    assert plan(targets, layers=layers).modules == modules


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("1-2", "has layers 0 to 1, no 2"),
        ("regex:nothing", "matches no layer"),
        ("0", "'0' leaves nothing of text-mlp"),
    ],
)
def test_layers_that_leave_nothing_of_a_named_group_are_an_error(layers, said):
    with pytest.raises(ConfigError, match=r"adapter\.layers") as caught:
        plan(["text-attention", "text-mlp"], layers=layers)
    assert said in str(caught.value)


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


def test_settings_of_a_group_that_is_not_there_are_an_error():
    with pytest.raises(ConfigError, match="did you mean 'text-mlp'"):
        plan(["q_proj"], own={"text-mpl": Own(1, 1)})


def test_experts_are_covered_by_layer_and_a_dense_model_has_none():
    assert covered_stacks(STACKS, "1") == [STACKS[1]]
    with pytest.raises(ConfigError, match="no mixture"):
        covered_stacks((), None)


def test_modules_trained_whole_are_named_by_their_last_part():
    parts = Parts(LINEARS, modules={EMBEDDING: 80, "lm_head": 80, f"{LAYER}.0.q_proj": 64})
    assert covered_modules(["embed_tokens", "lm_head"], parts, "(?!)") == [EMBEDDING, "lm_head"]
    tied = Parts(LINEARS, modules=parts.modules, tied=True)
    assert covered_modules(["embed_tokens", "lm_head"], tied, "(?!)") == [EMBEDDING]
    with pytest.raises(ConfigError, match="name both"):
        covered_modules(["lm_head"], tied, "(?!)")
    with pytest.raises(ConfigError, match="did you mean 'lm_head'"):
        covered_modules(["lm_hed"], parts, "(?!)")
    with pytest.raises(ConfigError, match="adapted too"):
        covered_modules(["q_proj"], parts, r".*q_proj")
