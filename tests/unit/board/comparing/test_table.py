from texlens.board.comparing.table import comparison_table


def test_scores_differences_and_domains_are_in_the_table(comparison):
    table = comparison_table(comparison)
    exact = next(metric for metric in table["metrics"] if metric["name"] == "exact_match")
    assert round(exact["values"]["base"]["value"], 4) == 0.3333
    assert round(exact["differences"]["adapter"]["value"], 4) == 0.3333
    assert exact["differences"]["adapter"]["verdict"] == "unsure"
    assert table["pairs"] == [
        {"system": "adapter", "both": 1, "only_system": 1, "only_reference": 0, "neither": 1, "p": "1.0000"}
    ]
    assert {part["name"]: part["rows"] for part in table["domains"]} == {"hand": 2, "print": 1}
    swapped = comparison_table(comparison.with_reference("adapter"))
    assert swapped["reference"] == "adapter"
    assert swapped["pairs"][0]["only_reference"] == 1
