"""Rows scored and drawn in processes of their own, while others are still being read."""

import os
import pickle
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue

from texlens.core.notes import print_note
from texlens.core.own_process import module_command
from texlens.evaluation.scoring.row_result import DrawnFormulas, RowResult, ScoringSettings, is_of_formulas, row_result
from texlens.metrics.prediction import Prediction
from texlens.metrics.scores import ScoredRow

AT_ONCE = 8
"""Predictions that a process gets at a time."""
MOST_PROCESSES = 8
LEAST_ROWS = 128
"""Fewer are scored sooner than processes start."""
LEAST_CORES = 4


def scoring_processes(rows: int) -> int:
    """How many processes are worth it: half of the cores, where there are several; 0 for few rows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_PROCESSES, cores // 2) if rows >= LEAST_ROWS and cores >= LEAST_CORES else 0


class RowScorer:
    """Computes `row_result` of predictions in `processes` processes; with 0, in this one when a result is asked for.

    A context manager: at its end the processes are ended. Results are the same with any number of processes.
    """

    def __init__(self, settings: ScoringSettings, processes: int = 0):
        """
        Raises:
            ConfigError: no metric of a name.
        """
        self.settings, self._metrics = settings, settings.load()
        self._begun: dict[Prediction, Future[list[RowResult]]] = {}
        self._results: dict[Prediction, RowResult] = {}
        self._open: list[Prediction] = []
        self._workers = _Workers(settings, processes) if processes else None
        self.are_formulas = is_of_formulas(self._metrics)
        self.drawn = DrawnFormulas()

    def __enter__(self) -> "RowScorer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._workers is not None:
            self._workers.close()

    def begin(self, prediction: Prediction) -> None:
        """Its result is computed beside this process."""
        if self._workers is None or prediction in self._begun:
            return
        self._open.append(prediction)
        if len(self._open) >= AT_ONCE:
            self._submit()

    def results(self, predictions: Iterable[Prediction]) -> Iterator[RowResult]:
        """In the order given; waits for those that are under way."""
        predictions = list(predictions)
        for prediction in predictions:
            if prediction not in self._results:
                self.begin(prediction)
        self._submit()
        for prediction in predictions:
            yield self._result(prediction)

    def scored(self, systems: Mapping[str, Iterable[Prediction]]) -> dict[Prediction, ScoredRow]:
        """The scores of all systems' rows, by prediction."""
        rows = [prediction for predictions in systems.values() for prediction in predictions]
        return {row: result.scored for row, result in zip(rows, self.results(rows), strict=True)}

    def _submit(self) -> None:
        if self._workers is None or not self._open:
            return
        rows, self._open = self._open, []
        future = self._workers.submit(rows)
        self._begun |= dict.fromkeys(rows, future)

    def _result(self, prediction: Prediction) -> RowResult:
        if prediction not in self._results:
            future = self._begun.pop(prediction, None)
            for result in [] if future is None else self._collected(future):
                self._keep(result)
        if prediction not in self._results:
            self._keep(row_result(prediction, self.settings, self._metrics))
        return self._results[prediction]

    def _collected(self, future: "Future[list[RowResult]]") -> list[RowResult]:
        try:
            return future.result()
        except (OSError, EOFError, pickle.UnpicklingError):
            print_note("a process that scores rows ended; its rows are scored by the main process")
            return []

    def _keep(self, result: RowResult) -> None:
        self._results[result.scored.scored.prediction] = result
        self.drawn.add(result.drawn)


class _Workers:
    """Processes that are started at once, each used by one thread at a time."""

    def __init__(self, settings: ScoringSettings, count: int):
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(settings) for _ in range(count)]
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count, "texlens-score")

    def submit(self, rows: list[Prediction]) -> "Future[list[RowResult]]":
        return self._threads.submit(self._answer, rows)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()

    def _answer(self, rows: list[Prediction]) -> list[RowResult]:
        worker = self._idle.get()
        try:
            return worker.results(rows)
        finally:
            self._idle.put(worker)


class _Worker:
    def __init__(self, settings: ScoringSettings):
        command = module_command("texlens.evaluation.scoring.worker")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._settings: ScoringSettings | None = settings

    def results(self, rows: list[Prediction]) -> list[RowResult]:
        """
        Raises:
            OSError, EOFError, UnpicklingError: the process has ended.
        """
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        if self._settings is not None:
            pickle.dump(self._settings, sink, pickle.HIGHEST_PROTOCOL)
            self._settings = None
        pickle.dump(rows, sink, pickle.HIGHEST_PROTOCOL)
        sink.flush()
        return pickle.load(source)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
