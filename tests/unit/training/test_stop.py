"""Training ends before its last step, with a checkpoint."""

import os
import signal
from types import SimpleNamespace

import pytest
from transformers.trainer_callback import TrainerControl

from texlens.core.errors import Interrupted
from texlens.training.distributed.context import DistributedContext
from texlens.training.stop import StopOnRequest, StopRequest, TimeLimit


def test_the_first_signal_is_noted_and_the_second_ends_the_process():
    request, announced = StopRequest(), []
    before = signal.getsignal(signal.SIGTERM)
    with request.listening(announced.append):
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.signal_number == signal.SIGTERM
        assert len(announced) == 1
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
    assert caught.value.args[0] == 128 + signal.SIGTERM or caught.value.code == 128 + signal.SIGTERM


def test_a_request_saves_and_stops_after_the_step():
    request, control = StopRequest(), TrainerControl()
    callback = StopOnRequest(request)
    callback.on_step_end(None, None, control)
    assert not control.should_training_stop
    request.signal_number = signal.SIGINT
    callback.on_step_end(None, None, control)
    assert control.should_save
    assert control.should_training_stop


@pytest.mark.parametrize(("minutes", "stops"), [(1e-9, True), (60, False)])
def test_the_time_limit_measures_and_saves(minutes, stops):
    limit, control = TimeLimit(minutes), TrainerControl()
    arguments = SimpleNamespace(eval_strategy="steps")
    limit.on_train_begin(arguments, None, control)
    limit.on_step_end(arguments, None, control)
    assert (control.should_training_stop, control.should_save, control.should_evaluate) == (stops,) * 3


def test_request_that_two_senders_repeat_counts_once():
    request = StopRequest(repeat_s=60)
    with request.listening(lambda message: None):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert request.signal_number == signal.SIGTERM


def test_any_process_s_request_stops_all():
    class TwoProcesses(DistributedContext):
        def all_gather(self, value):
            return [value, signal.SIGINT]

    request, control = StopRequest(), TrainerControl()
    StopOnRequest(request, TwoProcesses(world_size=2)).on_step_end(None, None, control)
    assert request.signal_number == signal.SIGINT
    assert control.should_save
    assert control.should_training_stop


def test_main_process_s_time_decides_for_all():
    class Second(DistributedContext):
        def broadcast(self, compute):
            return True

    limit, control = TimeLimit(60, Second(rank=1, world_size=2)), TrainerControl()
    limit.on_train_begin(None, None, control)
    limit.on_step_end(SimpleNamespace(eval_strategy="no"), None, control)
    assert control.should_training_stop
