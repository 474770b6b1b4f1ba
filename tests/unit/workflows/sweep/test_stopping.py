from tests.unit.workflows.sweep.test_evidence import measured
from texlens.workflows.sweep.stopping import StopRule

RULE = StopRule(comparisons=60)


def test_a_trial_that_is_surely_worse_ends_and_the_verdict_says_why():
    verdict = RULE.judge(measured(0.3), {1: [measured(0.2)], 2: [measured(0.0)]})
    assert (verdict.step, verdict.better) == (10, 2)
    assert 0.29 < verdict.surely_worse_by <= 0.3
    assert verdict.to_json()["better"] == 2


def test_a_trial_that_may_be_as_good_goes_on():
    assert RULE.judge(measured(0.02, seed=1), {1: [measured(0.0)]}) is None
    assert RULE.judge(measured(0.0), {1: [measured(0.3)]}) is None
    assert RULE.judge(measured(0.3), {}) is None


def test_only_what_others_had_measured_by_then_counts():
    later = measured(0.0, progress=0.6)
    assert RULE.judge(measured(0.3, progress=0.5), {1: [later]}) is None
    assert RULE.judge(measured(0.3, progress=0.6), {1: [later]}) is not None


def test_the_first_quarter_is_always_trained():
    assert RULE.judge(measured(0.3, progress=0.2), {1: [measured(0.0, progress=0.2)]}) is None


def test_too_few_batches_end_nothing():
    assert RULE.judge(measured(0.3, batches=9), {1: [measured(0.0, batches=9)]}) is None


def test_other_rows_are_not_compared():
    assert RULE.judge(measured(0.3, seed=1), {1: [measured(0.0, seed=0)]}) is None


def test_a_rule_that_is_off_ends_nothing():
    assert StopRule(60, enabled=False).judge(measured(0.3), {1: [measured(0.0)]}) is None


def test_equal_trials_rarely_end():
    """200 sweeps of 10 trials that differ by nothing but noise in their losses: at most LEVEL of them end one."""
    import numpy as np

    from texlens.workflows.sweep.evidence import ValidationResult

    ended = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        base = generator.uniform(10, 60, 32)
        trials = [
            ValidationResult(10, 0.5, tuple((float(loss), 30) for loss in base + generator.normal(0, 3, 32)))
            for _ in range(5)
        ]
        rule = StopRule(comparisons=10)
        ended += any(rule.judge(trials[n], {k: [trials[k]] for k in range(n)}) for n in range(1, 5))
    assert ended <= 200 * 0.05 + 6
