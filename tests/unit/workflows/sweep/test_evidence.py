import numpy as np
import pytest

from texlens.workflows.sweep.evidence import ValidationResult, best_of, difference, surely_worse_by


def measured(shift: float, step: int = 10, progress: float = 0.5, seed: int = 0, batches: int = 32) -> ValidationResult:
    """Losses of batches that differ much from each other, and all by `shift` nats a label from those of shift 0."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(20, 60, batches)
    losses = labels * (generator.uniform(0.5, 3.0, batches) + shift)
    return ValidationResult(step, progress, tuple(zip(losses.tolist(), labels.tolist(), strict=True)))


def test_the_loss_is_of_all_labels_together():
    assert ValidationResult(1, 0.1, ((10.0, 5), (2.0, 1))).loss == 2.0


def test_pairing_sees_a_difference_that_the_intervals_alone_hide():
    better, worse = measured(0.0), measured(0.1)
    assert better.interval().high > worse.interval().low
    between = difference(worse, better)
    assert between.value == pytest.approx(0.1)
    assert between.low > 0.09
    assert surely_worse_by(worse, better, 0.999) == pytest.approx(0.1, abs=1e-6)


def test_noise_is_not_surely_worse():
    better, worse = sorted((measured(0.0), measured(0.02, seed=1)), key=lambda measurement: measurement.loss)
    assert surely_worse_by(worse, better, 0.95) < 0


def test_more_confidence_lowers_the_bound():
    trial, other = measured(0.2, seed=1), measured(0.0)
    assert surely_worse_by(trial, other, 0.9999) < surely_worse_by(trial, other, 0.95)


def test_a_measurement_is_read_back_as_it_was():
    measurement = measured(0.0)
    assert ValidationResult.from_json(measurement.to_json()) == measurement


def test_the_first_of_equal_losses_is_the_best():
    first, second = measured(0.0, step=10), measured(0.0, step=20)
    assert best_of([first, second]) is first
