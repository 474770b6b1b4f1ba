"""How well doubt finds wrong readings: the area under the ROC curve of doubt, and of each of its parts, over a folder.

    python benchmarks/doubt_finds_errors.py CROHME --out build/learn --seeds 0 --images 300

The folder is that of `learn_from_corrections.py` with the same arguments, read already. 0.5 is chance, 1 perfect order.
"""

import json
from collections.abc import Callable
from datetime import date

import learn_from_corrections as simulated
import numpy as np

from texlens.core.environment import describe_environment
from texlens.core.files import write_json
from texlens.workflows.learn.doubt import Doubt, likeness
from texlens.workflows.learn.session import LearnSession

PARTS: dict[str, Callable[[Doubt], float]] = {
    "doubt": lambda doubt: doubt.value,
    "confidence alone": lambda doubt: 1 - doubt.confidence,
    "views alone": lambda doubt: 0.0 if doubt.views is None else 1 - doubt.views,
    "no formula alone": lambda doubt: float(bool(doubt.problem)),
}


def main() -> None:
    arguments = simulated.command_line()
    seed = arguments.seeds[0]
    rows, _ = simulated.drawn_rows(arguments, seed)
    labels = {f"{number:04d}.png": text for number, text in enumerate(rows.texts())}
    folder = arguments.out / f"seed-{seed}-{arguments.orders[0]}" / "images"
    session = LearnSession(folder)
    readings = session.readings(session.state.start)
    doubts = session.doubts(readings)
    names = {key: image.name for key, image in session.images.by_key.items()}
    is_wrong = np.array([likeness(reading.text, labels[names[key]]) < 1 for key, reading in readings.items()])
    values = {part: np.array([of(doubts[key]) for key in readings]) for part, of in PARTS.items()}
    result = {
        "what": "area under the ROC curve: does doubt put wrong readings before right ones",
        "date": str(date.today()),
        "command": f"python benchmarks/doubt_finds_errors.py DATA --seeds {seed} --images {arguments.images}",
        "environment": describe_environment(),
        "rows": len(is_wrong),
        "wrong": int(is_wrong.sum()),
        "auc": {part: _interval(each, is_wrong) for part, each in values.items()},
        "wrong_in_first_tenth": float(
            is_wrong[np.argsort(-values["doubt"], kind="stable")[: len(is_wrong) // 10]].mean()
        ),
        "wrong_in_last_tenth": float(
            is_wrong[np.argsort(values["doubt"], kind="stable")[: len(is_wrong) // 10]].mean()
        ),
    }
    write_json(arguments.out / "doubt.json", result)
    print(json.dumps({key: value for key, value in result.items() if key != "environment"}, indent=1))


def _interval(values: np.ndarray, is_wrong: np.ndarray) -> dict[str, float]:
    """With the 95% interval of 1,000 resamples."""
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, len(values), len(values)) for _ in range(1_000)]
    areas = [_area(values[rows], is_wrong[rows]) for rows in drawn]
    low, high = np.percentile(areas, [2.5, 97.5])
    return {"value": round(_area(values, is_wrong), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _area(values: np.ndarray, is_wrong: np.ndarray) -> float:
    """The probability that a wrong reading has more doubt than a right one; ties count half."""
    from scipy.stats import rankdata

    ranks, wrong = rankdata(values), int(is_wrong.sum())
    right = len(values) - wrong
    return float((ranks[is_wrong].sum() - wrong * (wrong + 1) / 2) / (wrong * right)) if wrong and right else 0.5


if __name__ == "__main__":
    main()
