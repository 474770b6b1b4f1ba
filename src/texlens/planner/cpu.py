"""Time of a run on this CPU, from rates that were measured on it with the bundled model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from texlens.adapters.plan import AdapterPlan
from texlens.planner.reading_time import ReadingTime
from texlens.planner.rows import RowSize
from texlens.planner.work import ModelWork, mean, trains_vision


@dataclass(frozen=True)
class CpuRates:
    """Operations a second, as `ModelWork` counts them, that training and reading the bundled model reached.

    `rows`: how many of the demo set; `date`: of the measurement.
    """

    cpu: str
    threads: int
    torch: str
    training: float
    reading: float
    rows: int
    date: str

    def to_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class CpuPlan:
    """`seconds` is of all steps; `evaluation` of the test rows, None where there are none."""

    rates: CpuRates
    rows_per_s: float
    seconds: float | None
    evaluation: ReadingTime | None
    notes: tuple[str, ...]

    def to_json(self) -> dict:
        return {
            "rates": self.rates.to_json(),
            "rows_per_s": round(self.rows_per_s, 3),
            "seconds": round(self.seconds, 1) if self.seconds is not None else None,
            "evaluation": self.evaluation.to_json() if self.evaluation else None,
            "notes": list(self.notes),
        }


def plan_on_cpu(
    rates: CpuRates,
    model_config: dict,
    adapter: AdapterPlan,
    sizes: Sequence[RowSize],
    *,
    trained_rows: float | None,
    test_rows: int,
    is_measured_model: bool,
) -> CpuPlan:
    """
    Args:
        sizes: of the train rows, at least one.
        trained_rows: rows of all steps together.
        is_measured_model: whether the run's model is the one that the rates were measured with.
    """
    work = ModelWork.of(model_config)
    vision_is_trained = trains_vision(adapter.coverage)
    per_row = mean(work.training(size, vision_is_trained=vision_is_trained) for size in sizes) / rates.training
    reading = mean(work.reading(size) for size in sizes) / rates.reading
    notes = [f"rates of {rates.cpu}, {rates.threads} threads, measured with the bundled model on {rates.date}"]
    if not is_measured_model:
        notes.append("another model reaches other rates; take the time as an order of magnitude")
    evaluation = ReadingTime(test_rows, 2, 2 * test_rows * reading) if test_rows else None
    seconds = trained_rows * per_row if trained_rows is not None else None
    return CpuPlan(rates, 1 / per_row, seconds, evaluation, tuple(notes))
