"""Parts of a set."""

import texlens.evaluation


def test_slices_by_length_kind_and_domain():
    references = ["x", r"\frac{a}{b}", r"\begin{matrix} a \\ b \end{matrix}", "y+" * 40]
    slices = texlens.evaluation.score(
        references, ["x", "a", references[2], references[3]], domains=["p", "p", "q", None]
    )["slices"]
    assert {part: of["rows"] for part, of in slices["length"].items()} == {"1–20 tokens": 3, "51–100 tokens": 1}
    assert {part: of["rows"] for part, of in slices["kind"].items()} == {"fraction": 1, "matrix": 1, "plain": 2}
    assert {part: of["scores"]["exact_match"]["value"] for part, of in slices["domain"].items()} == {
        "other": 1.0, "p": 0.5, "q": 1.0,
    }  # fmt: skip
