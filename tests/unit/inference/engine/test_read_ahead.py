"""Items prepared in threads ahead of their use."""

import sys
import threading
import time

import pytest

from texlens.inference.engine.read_ahead import TURN_S, prepared_ahead, short_turns


def test_results_come_in_order_and_few_are_prepared_ahead():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = prepared_ahead(items(), lambda number: number**2, workers=2, ahead=4)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(taken) <= 7


def test_an_error_is_raised_at_its_turn():
    results = prepared_ahead([1, 0], lambda number: 1 // number, workers=1, ahead=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_taken_items_make_room_that_is_filled_on_request():
    taken = []
    results = prepared_ahead(iter(taken.append(number) or number for number in range(9)), str, workers=1, ahead=3)
    first = [next(results), next(results)]
    before = len(taken)
    results.refill()

    assert (first, before, len(taken)) == (["0", "1"], 3, 5)


def test_items_are_prepared_when_none_is_left():
    assert list(prepared_ahead(range(5), str, workers=1, ahead=2)) == ["0", "1", "2", "3", "4"]


def test_an_item_that_was_not_begun_is_not_ready_and_the_end_is():
    results = prepared_ahead(range(2), str, workers=1, ahead=1)
    next(results)
    between = results.is_ready
    next(results)
    results.refill()

    assert (between, results.is_ready) == (False, True)


def test_turns_are_short_only_while_they_are_on():
    usual = sys.getswitchinterval()
    with short_turns():
        during = sys.getswitchinterval()
    with short_turns(False):
        off = sys.getswitchinterval()

    assert (during, off, sys.getswitchinterval()) == (pytest.approx(TURN_S), usual, usual)


def test_turns_are_as_before_when_blocks_end_in_the_order_in_which_they_began():
    usual = sys.getswitchinterval()
    first, second = short_turns(), short_turns()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    between = sys.getswitchinterval()
    second.__exit__(None, None, None)

    assert (between, sys.getswitchinterval()) == (pytest.approx(TURN_S), usual)


def test_items_are_gathered_until_they_are_prepared_or_time_is_up():
    gate = threading.Event()
    results = prepared_ahead([0, 1], lambda number: number or gate.wait(5), workers=2, ahead=2)
    began = time.monotonic()
    results.gather(2, 0.05)
    waited_s = time.monotonic() - began
    gate.set()
    results.gather(2, 5)

    assert (results.is_ready, list(results)) == (True, [True, 1])
    assert 0.05 <= waited_s < 5
