from texlens.adapters.plan import Coverage
from texlens.models.bundled import bundled_config
from texlens.planner.rows import RowSize
from texlens.planner.work import ModelWork, mean, trains_vision

WORK = ModelWork(text=100, vision=10)
ROW = RowSize(((4, 8),), text=12, answer=5)


def test_a_row_is_counted_by_its_tokens_and_patches():
    assert ROW.tokens == 20
    assert WORK.training(ROW, vision_is_trained=False) == 4 * 100 * 20 + 2 * 10 * 32
    assert WORK.training(ROW, vision_is_trained=True) == 4 * 100 * 20 + 4 * 10 * 32
    assert WORK.reading(ROW) == 2 * 100 * 20 + 2 * 10 * 32


def test_nano_has_its_own_sizes_and_a_tied_head_counts():
    work = ModelWork.of(bundled_config("nano"))
    assert 0 < work.vision < 11_726_080
    assert 0 < work.text < 11_726_080
    assert work.text + work.vision <= 11_726_080


def test_the_tower_is_trained_where_a_layer_of_it_is():
    assert trains_vision([Coverage("vision", 2, 24, 10)])
    assert not trains_vision([Coverage("vision", 0, 24, 0), Coverage("text-mlp", 3, 3, 10)])


def test_the_mean_is_of_all():
    assert mean([1, 2, 6]) == 3
