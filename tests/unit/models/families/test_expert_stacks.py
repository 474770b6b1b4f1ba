from tests.fixtures.tiny_models import tiny_model
from texlens.models.families.expert_stacks import STACKS, base_experts


def test_experts_are_found_inside_of_wrappers():
    mlp = tiny_model("qwen3_vl_moe")[0].model.language_model.layers[0].mlp
    experts = mlp.experts
    assert base_experts(mlp) is experts
    assert [getattr(experts, name).ndim for name in STACKS] == [3, 3]
