import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from texlens.core.errors import DataError
from texlens.data.readers.rows import json_stream
from texlens.data.readers.rows.json_stream import list_values, read_value

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    rows=st.lists(VALUES, max_size=8),
    chunk=st.integers(1, 9),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_values_and_their_places_are_those_of_the_whole_file(tmp_path_factory, rows, chunk, ascii_only, indent):
    file = tmp_path_factory.mktemp("json") / "rows.json"
    data = json.dumps(rows, ensure_ascii=ascii_only, indent=indent).encode("utf-8", errors="surrogatepass")
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    file.write_bytes(data)
    before, json_stream.CHUNK_BYTES = json_stream.CHUNK_BYTES, chunk
    try:
        values = list(list_values(file))
    finally:
        json_stream.CHUNK_BYTES = before
    assert [value.value for value in values] == rows
    assert [read_value(file, value.start, value.length) for value in values] == rows


def test_lists_inside_an_object_are_found_by_key(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"info": {"n": [1]}, "images": [1, {"b": 2}], "other": [9], "annotations": []}')
    values = list(list_values(file, ("images", "annotations")))
    assert [(value.key, value.value) for value in values] == [("images", 1), ("images", {"b": 2})]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[{"a": 1}, {"a"', r"line 1 column 16: not JSON"),
        ('[{"a": 1}', r"the file ends in the middle"),
        ('[\n{"a": 1},\n]', r"line 3 column 1: not JSON \(a comma before the end"),
        ('[{"a": 1}] x', r"more after its end"),
        ("", "the file ends in the middle"),
        ("7", "must hold a list of rows, not int"),
    ],
)
def test_a_fault_is_reported_with_its_location(tmp_path, text, reason):
    file = tmp_path / "rows.json"
    file.write_text(text)
    with pytest.raises(DataError, match=reason):
        list(list_values(file))


def test_a_byte_that_is_not_utf8_is_placed_beyond_the_first_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", 8)
    file = tmp_path / "rows.json"
    file.write_bytes('["ü",\n"ü",\n"'.encode() + b'\xff"]')
    with pytest.raises(DataError, match="line 3: byte 15 of the file is 0xff"):
        list(list_values(file))
