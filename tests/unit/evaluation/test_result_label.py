import pytest

from texlens.config.load import build_config
from texlens.evaluation.result_label import result_label


def config(**overrides):
    return build_config(
        {"model": {"path": "nano"}, "data": {"path": "demo"}},
        overrides=[f"{key.replace('__', '.')}={value}" for key, value in overrides.items()],
    )


@pytest.mark.parametrize(
    "unchanged", [{}, {"evaluate__batch_size": 2}, {"evaluate__metrics": "bleu4"}, {"data__limit": 3}]
)
def test_own_rows_and_settings_have_the_name_of_the_split(unchanged):
    assert result_label(config(), config(**unchanged), "test") == "test"


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"data__path": "linxy/LaTeX_OCR", "data__subset": "human_handwrite"}, "test-LaTeX_OCR-human_handwrite-"),
        ({"evaluate__max_rows": 5}, "test-5rows-"),
        ({"evaluate__max_new_tokens": 5}, "test-"),
        ({"data__prompt": "Read."}, "test-"),
        ({"data__splits__test": "validation"}, "test-"),
        ({"data__path": "/a/../b c"}, "test-b_c-"),
    ],
)
def test_other_rows_and_settings_have_a_name_of_their_own(changes, start):
    label = result_label(config(), config(**changes), "test")
    assert label.startswith(start)
    assert label != "test"
    assert "/" not in label


def test_different_changes_have_different_names():
    labels = {result_label(config(), config(data__path=path), "test") for path in ("a/x", "b/x", "c/x")}
    assert len(labels) == 3
