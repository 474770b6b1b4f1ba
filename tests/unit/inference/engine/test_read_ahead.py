"""Items prepared in threads ahead of their use."""

import pytest

from texlens.inference.engine.read_ahead import prepared_ahead


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
