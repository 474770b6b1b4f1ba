"""What every written row has, and what is refused because it would be lost."""

from dataclasses import replace
from pathlib import Path

import pytest

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage, Sample, Turn
from texlens.data.writers.messages import MESSAGES
from texlens.data.writers.protocol import check_round_trip, json_line, own_fields, turns

SAMPLE = Sample("7", LazyImage.from_bytes(b"", "row 3"), "x", prompt="Read")


def test_turns_have_the_system_prompt_first_and_a_mark_for_the_image():
    sample = replace(SAMPLE, system="S", history=(Turn("user", "<image>Q"), Turn("assistant", "A")))
    roles = [("system", "S"), ("user", "<image>Q"), ("assistant", "A"), ("user", "Read"), ("assistant", "x")]
    assert turns(sample) == roles
    assert turns(SAMPLE)[0] == ("user", "<image>Read")


def test_fields_without_a_value_are_left_out():
    assert own_fields(SAMPLE) == {"id": "7"}
    assert own_fields(replace(SAMPLE, domain="print", extra={"source": "a"})) == {
        "id": "7", "domain": "print", "source": "a"
    }  # fmt: skip


def test_what_would_be_lost_is_named():
    back = MESSAGES.read(MESSAGES.line(SAMPLE, ["a.png"]), Path("f"))
    check_round_trip(SAMPLE, ["a.png"], back, Path("f"), "messages")
    with pytest.raises(DataError, match="row 3: csv can't hold the row's domain"):
        check_round_trip(replace(SAMPLE, domain="print"), ["a.png"], back, Path("f"), "csv")


def test_a_value_that_is_no_json_is_reported_with_its_row():
    with pytest.raises(DataError, match=r"row 3: .*remove it"):
        json_line({"a": object()}, SAMPLE)
