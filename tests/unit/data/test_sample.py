from tests.unit.data.sample_factory import plain_sample
from texlens.core.errors import DataError
from texlens.data.sample import RejectedRow, Turn


def test_the_loss_mask_has_an_entry_for_each_answer():
    history = (Turn("user", "a"), Turn("assistant", "b", is_trained=False), Turn("system", "c"))
    assert plain_sample(history=history).loss_mask == (False, True)


def test_a_rejected_row_keeps_what_its_score_needs_and_names_its_location_once():
    sample = plain_sample("7", "x", domain="print", more_answers=("y",))
    row = RejectedRow.from_error(sample, DataError("here: torn"), "damaged image")
    assert (row.reason, row.text, row.domain, row.more_answers) == ("torn", "x", "print", ("y",))
    assert str(row) == "here: torn"
    assert row.to_json() == {"id": "7", "where": "here", "reason": "torn", "kind": "damaged image"}


def test_terminal_escapes_of_a_rejected_row_are_escaped():
    assert str(RejectedRow("7", "a\x1b[31m", "b\x07")) == "a\\x1b[31m: b\\x07"
