import json

from texlens.board.runs.appended_file import Position, last_rows, part_since


def write(path, rows, more=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + more)


def test_only_what_was_appended_is_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [{"step": 1}, {"step": 2}])
    first = part_since(path, Position())
    assert (first.rows, first.is_restart) == ([{"step": 1}, {"step": 2}], True)
    with path.open("a") as file:
        file.write('{"step": 3}\n{"step": 4')
    second = part_since(path, Position.parse(str(first.position)))
    assert (second.rows, second.is_restart) == ([{"step": 3}], False)
    with path.open("a") as file:
        file.write("}\n")
    assert part_since(path, second.position).rows == [{"step": 4}]


def test_reading_starts_again_after_a_resumed_training_cut_lines_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [{"step": 1}, {"step": 2}, {"step": 3}])
    position = part_since(path, Position()).position
    write(path, [{"step": 1}, {"step": 2, "loss": 5}, {"step": 3}, {"step": 4}])
    again = part_since(path, position)
    assert again.is_restart
    assert [row["step"] for row in again.rows] == [1, 2, 3, 4]


def test_damaged_lines_and_numbers_that_json_can_not_hold_are_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "loss": NaN}\n\xff\xfe\n[1]\n{"step": 2}\n')
    assert part_since(path, Position()).rows == [{"step": 1, "loss": None}, {"step": 2}]
    assert part_since(tmp_path / "none", Position()).rows == []
    assert Position.parse("x-1") == Position()


def test_the_last_rows_of_a_long_file_begin_with_a_complete_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [{"step": step, "text": "x" * 50} for step in range(2000)])
    rows = last_rows(path)
    assert rows[-1]["step"] == 1999
    assert 100 < len(rows) < 400


def test_of_a_long_log_the_last_lines_are_sent_and_the_position_is_its_end(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {number:04}\n" for number in range(1000)))
    part = part_since(path, Position(), max_bytes=105)
    assert part.lines == [f"line {number:04}" for number in range(990, 1000)]
    assert part.position.offset == 10_000
    assert part_since(path, part.position).lines == []
