"""The test sets: how many rows they have, where a copy is looked for, and the rules of their published numbers.

To add one: a `Benchmark` here, its published results in `published.py`, and its layout in tests.
"""

from dataclasses import dataclass
from typing import Literal

from texlens.core.errors import ConfigError

UNI_MUMER_DATA = "data.zip of Uni-MuMER (github.com/BFlameSwift/Uni-MuMER)"
SPACED = "share of rows whose tokens, parted by white space, are the reference's (Uni-MuMER's script)"
DETECTION = "CDM F1 by the reference program's rules (arXiv:2409.03643), drawn by our own layout"


@dataclass(frozen=True)
class Location:
    """A path within the folder of test sets, and the split there; None is `test`, or the only one."""

    path: str
    split: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """
    Args:
        rows: of the complete test set, None where it is not published; fewer are reported.
        preset: of `metrics.presets`, or "" for our own scores under `cdm` rules.
        score: the published score, of the preset or our own.
        hub: id and split on Hugging Face, where there is one.
        obtain: where a copy comes from.
    """

    name: str
    suite: str
    part: str
    rows: int | None
    locations: tuple[Location, ...]
    preset: Literal["uni-mumer", ""] = "uni-mumer"
    score: str = "exact_match"
    rule: str = SPACED
    hub: tuple[str, str] | None = None
    obtain: str = UNI_MUMER_DATA


def _crohme(year: str, rows: int) -> Benchmark:
    locations = (
        Location(f"crohme-{year}"),
        Location(f"CROHME/prompts/crohme_{year}.json"),
        Location("CROHME", year),
        Location("crohme", f"test{year}"),
    )
    return Benchmark(f"crohme-{year}", "crohme", year, rows, locations)


def _unimer(part: str, rows: int) -> Benchmark:
    names = ("UniMER-Test", "UniMER-Test.zip", "UniMER-test.zip")
    locations = (Location(f"unimer-{part}"), *(Location(name, part) for name in names))
    obtain = "UniMER-test.zip of wanderkid/UniMER_Dataset (Hugging Face)"
    return Benchmark(
        f"unimer-{part}", "unimer", part, rows, locations, preset="", score="cdm_f1", rule=DETECTION, obtain=obtain
    )


BENCHMARKS = (
    _crohme("2014", 986),
    _crohme("2016", 1147),
    _crohme("2019", 1199),
    Benchmark(
        "hme100k",
        "hme100k",
        "test",
        24_607,
        (Location("hme100k"), Location("HME100K/prompts/hme100k_test.json"), Location("HME100K", "test")),
        obtain="ai.100tal.com/dataset, after registration",
    ),
    Benchmark(
        "mathwriting",
        "mathwriting",
        "test",
        7_644,
        (
            Location("mathwriting"),
            Location("MathWriting/prompts/mathwriting_test.json"),
            Location("MathWriting-human", "test"),
        ),
        hub=("deepcopy/MathWriting-human", "test"),
    ),
    _unimer("spe", 6762),
    _unimer("cpe", 5921),
    _unimer("sce", 4742),
    _unimer("hwe", 6332),
    Benchmark(
        "im2latexv2",
        "im2latexv2",
        "test",
        None,
        (Location("im2latexv2"), Location("Im2LaTeXv2/prompts/im2latexv2_test.json")),
    ),
)
SUITES = tuple(dict.fromkeys(benchmark.suite for benchmark in BENCHMARKS))


def chosen(names: str) -> list[Benchmark]:
    """
    Args:
        names: suites or single test sets, with commas: `crohme,unimer-spe`.

    Raises:
        ConfigError: no such suite.
    """
    requested = [name.strip() for name in names.split(",") if name.strip()]
    unknown = set(requested) - {*SUITES, *(benchmark.name for benchmark in BENCHMARKS)}
    if unknown or not requested:
        raise ConfigError(
            f"--suite {', '.join(sorted(unknown)) or names!r}: no such test set; there are {', '.join(SUITES)}"
        )
    return [benchmark for benchmark in BENCHMARKS if {benchmark.suite, benchmark.name} & set(requested)]
