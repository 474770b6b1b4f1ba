import pytest

from texlens.adapters.model_layout import ExpertParameter, LinearSpec, ModelLayout
from texlens.adapters.plan import AdapterRequest, Coverage, lora_cost, plan_adapter
from texlens.adapters.targets import covered_experts, covered_modules
from texlens.config.adapter import GroupSettings
from texlens.core.errors import ConfigError

LAYER = "model.language_model.layers"
LINEARS = (
    LinearSpec(f"{LAYER}.0.q_proj", 8, 8),
    LinearSpec(f"{LAYER}.0.k_proj", 8, 4),
    LinearSpec(f"{LAYER}.1.up_proj", 8, 16),
    LinearSpec("vision.0.qkv", 4, 12),
    LinearSpec("lm_head", 8, 100),
)
GROUPS = {
    "text-attention": r"model\.language_model\.layers\.\d+\.(q_proj|k_proj)",
    "text-mlp": r"model\.language_model\.layers\.\d+\.(up_proj)",
    "vision": r"vision\.\d+\.(qkv)",
}
EMBEDDING = "model.language_model.embed_tokens"
EXPERT_PARAMETERS = tuple(ExpertParameter(f"{LAYER}.{layer}.experts.down_proj", 4, 2, 8) for layer in (0, 1))


def plan(targets, **options):
    request = AdapterRequest(targets, 2, 4, all_linear=tuple(GROUPS), **options)
    return plan_adapter(ModelLayout(LINEARS), GROUPS, request)


def test_group_is_covered_and_other_groups_are_listed_as_not_adapted():
    assert plan(["text-attention"]).coverage == (
        Coverage("text-attention", 2, 2, 2 * (16 + 12)),
        Coverage("text-mlp", 0, 1, 0),
        Coverage("vision", 0, 1, 0),
    )


def test_leaf_names_and_patterns_are_targets_too():
    assert plan(["q_proj"]).trainable == 2 * 16
    assert plan([r"regex:model\..*"]).modules == 3


def test_all_linear_does_not_cover_the_head():
    covered = plan(["all-linear"])
    assert covered.modules == 4
    assert "other" not in [row.group for row in covered.coverage]


def test_experts_routers_embedding_and_head_are_listed_as_not_adapted():
    layout = ModelLayout(LINEARS, EXPERT_PARAMETERS, 2, {EMBEDDING: 80, "lm_head": 80})
    covered = plan_adapter(layout, GROUPS, AdapterRequest(["q_proj"], 2, 4))
    assert covered.coverage[-4:] == (
        Coverage("experts", 0, 2, 0),
        Coverage("router", 0, 2, 0),
        Coverage("embed", 0, 1, 0),
        Coverage("head", 0, 1, 0),
    )


def test_override_of_a_group_decides_its_rank_alpha_dropout_and_learning_rate():
    covered = plan(["text-mlp"], overrides={"vision": GroupSettings(rank=1, alpha=8, dropout=0.1, learning_rate=1e-5)})
    assert covered.trainable == 2 * 24 + 1 * 16
    assert (covered.rank_pattern, covered.alpha_pattern) == ({GROUPS["vision"]: 1}, {GROUPS["vision"]: 8})
    assert (covered.dropouts, covered.learning_rates) == ({"vision": 0.1}, {"vision": 1e-5})


def test_experts_and_modules_to_save_are_planned_by_the_same_call():
    layout = ModelLayout(LINEARS, EXPERT_PARAMETERS, 2, {EMBEDDING: 80, "lm_head": 80})
    request = AdapterRequest(
        ["q_proj"], 2, 4, {"experts": GroupSettings(rank=3, learning_rate=1e-5)}, modules_to_save=["lm_head"]
    )
    covered = plan_adapter(layout, GROUPS, request)
    assert covered.rank_pattern == {r".*\.experts\.(?:down_proj)": 3}
    assert covered.alpha_pattern == {}
    assert covered.learning_rates == {"experts": 1e-5}
    assert covered.target_parameters == tuple(parameter.name for parameter in EXPERT_PARAMETERS)
    assert covered.modules_to_save == ("lm_head",)
    assert covered.trainable == 2 * 16 + 2 * 4 * 3 * (2 + 8) + 80


def test_dora_adds_one_magnitude_per_output():
    assert plan(["q_proj"], cost=lora_cost(dora=True)).trainable == 2 * 16 + 8


@pytest.mark.parametrize(("layers", "modules"), [("0", 3), ("1", 2), ("0-1", 4), ("0,1", 4), (r"regex:.*\.0\..*", 3)])
def test_layers_narrow_the_language_model_and_a_pattern_narrows_all(layers, modules):
    targets = ["q_proj", "k_proj", "up_proj", "qkv"]
    if layers == "1":
        targets = ["up_proj", "qkv"]
    assert plan(targets, layers=layers).modules == modules


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("1-2", "has layers 0 to 1, no 2"),
        ("regex:nothing", "matches no layer"),
        ("0", "'0' leaves nothing of text-mlp"),
    ],
)
def test_layers_that_leave_nothing_of_a_named_group_are_an_error(layers, message):
    with pytest.raises(ConfigError, match=r"adapter\.layers") as caught:
        plan(["text-attention", "text-mlp"], layers=layers)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("text-atention", "did you mean 'text-attention'"),
        ("q_pro", "did you mean 'q_proj'"),
        ("regex:nothing.*", "matches no linear layer"),
        ("visual_q_proj", "the vision tower is the group vision, its layers are qkv; leave it out or write vision"),
        ("visual.blocks.*.attn.qkv", "the vision tower is the group vision"),
        ("regex:(", "no regular expression"),
    ],
)
def test_a_target_that_matches_nothing_is_an_error(target, message):
    with pytest.raises(ConfigError, match=r"adapter\.targets") as caught:
        plan(["text-mlp", target])
    assert message in str(caught.value)


def test_override_of_an_unknown_group_is_an_error():
    with pytest.raises(ConfigError, match="did you mean 'text-mlp'"):
        plan(["q_proj"], overrides={"text-mpl": GroupSettings(rank=1, alpha=1)})


def test_experts_are_covered_by_layer_and_a_dense_model_has_none():
    assert covered_experts(EXPERT_PARAMETERS, "1") == [EXPERT_PARAMETERS[1]]
    with pytest.raises(ConfigError, match="no mixture"):
        covered_experts((), None)


def test_modules_to_save_are_named_by_their_last_part():
    layout = ModelLayout(LINEARS, modules={EMBEDDING: 80, "lm_head": 80, f"{LAYER}.0.q_proj": 64})
    assert covered_modules(["embed_tokens", "lm_head"], layout, "(?!)") == [EMBEDDING, "lm_head"]
    tied = ModelLayout(LINEARS, modules=layout.modules, tied=True)
    assert covered_modules(["embed_tokens", "lm_head"], tied, "(?!)") == [EMBEDDING]
    with pytest.raises(ConfigError, match="name both"):
        covered_modules(["lm_head"], tied, "(?!)")
    with pytest.raises(ConfigError, match="did you mean 'lm_head'"):
        covered_modules(["lm_hed"], layout, "(?!)")
    with pytest.raises(ConfigError, match="adapted too"):
        covered_modules(["q_proj"], layout, r".*q_proj")
