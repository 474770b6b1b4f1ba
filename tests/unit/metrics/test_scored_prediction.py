import pytest

from texlens.metrics.prediction import Prediction
from texlens.metrics.scored_prediction import ScoredPrediction


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("nai\u0308ve", "na\u00efve"),
        ("Vie\u0323\u0302t Nam", "Vi\u1ec7t Nam"),
        ("\u212b = 10^{-10} m", "\u00c5 = 10^{-10} m"),
        ("\u2126", "\u03a9"),
        ("a =\u0338 b", "a \u2260 b"),
    ],
)
def test_a_perfect_reading_of_text_in_another_unicode_form_is_exact(reference, text):
    for first, second in ((reference, text), (text, reference)):
        scored = ScoredPrediction.of(Prediction("0", first, second))
        assert scored.is_exact
        assert scored.edit_similarity == 1
