import sys

import pytest

from texlens.board.planning.worker_client import PlanningClient
from texlens.core.errors import ConfigError

PROGRAM = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    if request["task"] == "die": os._exit(1)
    if request["task"] == "wait": time.sleep(60)
    if request["task"] == "wrong": print(json.dumps({"error": "rank is wrong"}), flush=True)
    else: print(json.dumps({"result": {"pid": os.getpid(), "gpu": request.get("gpu")}}), flush=True)
"""


@pytest.fixture
def client():
    client = PlanningClient((sys.executable, "-c", PROGRAM), timeout_s=2.0)
    yield client
    client.close()


def test_requests_share_one_process(client):
    first = client.ask("plan", {}, gpu="h200")
    assert first["gpu"] == "h200"
    assert client.ask("plan", {})["pid"] == first["pid"]
    with pytest.raises(ConfigError, match="rank is wrong"):
        client.ask("wrong", {})


@pytest.mark.parametrize("task", ["die", "wait"])
def test_a_process_that_dies_or_takes_too_long_is_replaced(client, task):
    with pytest.raises(ConfigError, match="given up"):
        client.ask(task, {})
    assert client.ask("plan", {})["pid"] > 0
