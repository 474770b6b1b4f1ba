import io
import json

from texlens.board.planning.worker import serve_lines

NANO = {"model": {"path": "nano"}, "data": {"path": "demo"}}


def answers(*requests) -> list[dict]:
    sink = io.StringIO()
    serve_lines(io.StringIO("".join(f"{line}\n" for line in requests)), sink)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_each_request_is_answered_in_one_line_and_a_bad_one_does_not_end_the_process():
    rows, wrong, broken = answers(
        json.dumps({"task": "rows", "values": NANO, "count": 1}),
        json.dumps({"task": "plan", "values": {**NANO, "adapter": {"rank": 0}}}),
        "{",
    )
    assert rows["result"]["rows"] == 660
    assert "adapter.rank" in wrong["error"]
    assert "JSONDecodeError" in broken["error"]
