"""What a command line names: weights of scores, models and rows."""

import pytest

from texlens.core.errors import ConfigError
from texlens.inference.model import LoadedModel
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.image_preparation import Preparation
from texlens.workflows.preferences import sources
from texlens.workflows.preferences.sources import AnswerSource, open_as_trained, read_source_rows, weights_of


def test_weights_are_read_by_name():
    assert weights_of("exact=1, valid=0.5,cdm_f1") == {"exact": 1.0, "valid": 0.5, "cdm_f1": 1.0}


def test_a_weight_that_is_not_numeric_and_an_unknown_name_are_errors():
    with pytest.raises(ConfigError, match="NAME=WEIGHT"):
        weights_of("exact=x")
    with pytest.raises(ConfigError, match="no reward is named 'exakt'"):
        weights_of("exakt=1")


def test_rows_come_from_data_or_from_a_run():
    assert len(read_source_rows(AnswerSource(data="demo", limit=5))) == 5
    with pytest.raises(ConfigError, match="name them with --data"):
        read_source_rows(AnswerSource("nano"))


def test_answers_are_drawn_from_images_as_training_sees_them(monkeypatch):
    def opened(weights):
        return LoadedModel("run", None, PromptStyle("Read."), 8, preparation=Preparation(second_glyph_px=17.0))

    monkeypatch.setattr(sources, "open_model", opened)
    assert open_as_trained(None).preparation is None
