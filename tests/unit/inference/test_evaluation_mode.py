from tests.fixtures.tiny_models import tiny_model
from texlens.inference.evaluation_mode import evaluation_mode


def test_evaluation_mode_restores_each_module():
    model, _ = tiny_model()
    model.train()
    model.model.visual.eval()

    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())

    assert model.training
    assert not model.model.visual.training
