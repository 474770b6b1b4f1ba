import pytest
from pydantic import ValidationError

from texlens.config.evaluate import EvaluateSettings


def test_metrics_are_a_list_or_names_with_commas():
    assert EvaluateSettings(metrics="bleu4, cdm_f1").metrics == ("bleu4", "cdm_f1")
    assert EvaluateSettings(metrics=["bleu4"]).metrics == ("bleu4",)


@pytest.mark.parametrize("values", [{"metrics": []}, {"max_rows": 0}, {"max_new_tokens": 0}, {"temperature": -1}])
def test_values_without_a_meaning_are_refused(values):
    with pytest.raises(ValidationError):
        EvaluateSettings(**values)
