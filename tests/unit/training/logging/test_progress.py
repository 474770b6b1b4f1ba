"""Progress without a terminal: a line for each measurement."""

import io
from types import SimpleNamespace

from rich.console import Console

from texlens.training.logging.progress import ProgressBar

THROUGHPUT = SimpleNamespace(rows=0, tokens=0, memory_gib=1.5)


def test_losses_and_scores_are_printed():
    output = io.StringIO()
    logged = []
    bar = ProgressBar(THROUGHPUT, Console(file=output, width=120), logged.append)
    state = SimpleNamespace(is_world_process_zero=True, global_step=0, max_steps=4)
    bar.on_train_begin(None, state, None)
    state.global_step = 2
    bar.on_log(None, state, None, logs={"loss": 1.25})
    bar.on_log(None, state, None, logs={"eval_loss": 0.5, "eval_exact_match": 0.25})
    bar.on_log(None, state, None, logs={"total_flos": 3})
    bar.on_train_end(None, state, None)
    first, second = output.getvalue().splitlines()
    assert first.startswith("step 2/4  loss 1.2500")
    assert "1.5 GiB  left" in first
    assert second == "step 2: validation loss 0.5000, exact match 25.0%"
    assert logged == [first, second]
