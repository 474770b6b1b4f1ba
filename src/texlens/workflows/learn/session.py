"""The loop as the command line and the page use it: read, correct, train, keep or discard."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from texlens.core.errors import DataError, RunError
from texlens.data.edits.edit import Edit
from texlens.workflows.learn.corrections import Corrections, corrections_of
from texlens.workflows.learn.doubt import Doubt, doubt_of
from texlens.workflows.learn.folder import LearnFolder, LearnState
from texlens.workflows.learn.images import FolderImages, LearnImage, find_images
from texlens.workflows.learn.queue import QueuedImage, queue
from texlens.workflows.learn.reading import ImageReading, ReadingFile, open_reader, read_images
from texlens.workflows.learn.rehearsal import ROWS
from texlens.workflows.learn.round import PLAN, RoundPlan, labeled, run_round
from texlens.workflows.learn.round_settings import RUN_NAME

MIN_HOLD_OUT = 6
"""With fewer rows no result of the paired test is certain: 5 of 5 gained has p = 0.06."""
MIN_TRAIN = 8
OnProgress = Callable[[str, int, int], None]
"""What is done, how many images are done, and of how many."""


@dataclass(frozen=True)
class Overview:
    """Where the loop stands; `read` counts images that every reader has read."""

    state: LearnState
    images: FolderImages
    corrections: Corrections
    read: int
    open_round: int | None

    def to_json(self) -> dict[str, Any]:
        corrections = self.corrections
        return {
            "images": len(self.images.by_key),
            "copies": len(self.images.copies),
            "unreadable": self.images.unreadable,
            "read": self.read,
            "model": self.state.model,
            "start": self.state.start,
            "second": self.state.second,
            "corrected": {
                "train": len(corrections.train),
                "hold_out": len(corrections.hold_out),
                "left_out": corrections.left_out,
                "changed": corrections.changed,
                "version": corrections.version,
            },
            "hold_out_share": self.state.hold_out,
            "missing": missing_corrections(corrections),
            "open_round": self.open_round,
            "rounds": list(self.state.rounds),
        }


class LearnSession:
    r"""One folder of images, opened.

    Example:
        session = LearnSession(Path("photos"))
        session.read()
        first = session.queue()[0]
        correct(session.folder.corrections, first.image, r"\frac{1}{2}", reading=first.reading.text, who="anna")
        session.train()["kept"]
    """

    def __init__(
        self,
        folder: Path,
        *,
        model: str | None = None,
        hold_out: float | None = None,
        second: str | None = None,
        console: Console | None = None,
    ):
        """
        Raises:
            DataError: no image there.
            ConfigError: another model or share than the folder began with.
        """
        self.images = find_images(folder)
        self.folder = LearnFolder(folder)
        self.folder.begin(model=model, hold_out=hold_out, second=second)
        self.console = console or Console(quiet=True)
        self._identities: dict[str, str] = {}
        self._doubts: dict[tuple[ImageReading, ImageReading | None], Doubt] = {}

    @property
    def state(self) -> LearnState:
        return self.folder.state

    def look_again(self) -> None:
        """Images may have been added."""
        self.images = find_images(self.folder.images)

    def read(self, on_progress: OnProgress = lambda doing, done, total: None) -> None:
        """Reads the images that the current model (and the second one) has not read.

        Raises:
            RunError: another process reads or trains here.
            ModelError: no such model.
        """
        with self.folder.locked():
            for model in filter(None, (self.state.model, self.state.second)):
                identity, open_model = open_reader(model)
                self._identities[model] = identity
                file = self._file(identity)
                missing = len(self.images.by_key) - len(self._known(file))
                done = 0

                def advance(count: int, total: int = missing, name: str = model) -> None:
                    nonlocal done
                    done += count
                    on_progress(f"reading with {Path(name).name}", done, total)

                read_images(list(self.images.by_key.values()), file, open_model, on_images=advance)

    def readings(self, model: str | None = None) -> dict[str, ImageReading]:
        """What the model read so far, of the images that are there."""
        return self._known(self._file(self._identity(model or self.state.model)))

    def doubts(self, readings: Mapping[str, ImageReading]) -> dict[str, Doubt]:
        second = self.readings(self.state.second) if self.state.second else {}
        return {key: self._doubt(reading, second.get(key)) for key, reading in readings.items()}

    def corrections(self, version: int | None = None) -> Corrections:
        return corrections_of(self.folder.corrections, self.images.by_key, self.state.hold_out, version)

    def queue(self) -> list[QueuedImage]:
        """The images to correct, in their order."""
        readings = self.readings()
        done = self.corrections().done
        return queue(self.images.by_key.values(), readings, self.doubts(readings), done, self.state.hold_out)

    def image(self, key: str) -> LearnImage:
        """
        Raises:
            DataError: no such image.
        """
        try:
            return self.images.by_key[key]
        except KeyError:
            raise DataError(f"{self.folder.images}: no image of this content any more; put it back") from None

    def history(self, key: str) -> tuple[Edit, ...]:
        """The edits of an image, the oldest first."""
        return self.folder.corrections.row(key).edits

    def overview(self) -> Overview:
        state = self.state
        read = set(self.readings(state.model))
        if state.second:
            read &= self.readings(state.second).keys()
        return Overview(state, self.images, self.corrections(), len(read), self.open_round())

    def open_round(self) -> int | None:
        """The number of a round that was planned and is not finished."""
        numbers = self._round_numbers()
        last = numbers[-1] if numbers else 0
        finished = {each["number"] for each in self.state.rounds}
        return last if last and last not in finished else None

    def plan_round(
        self, *, rehearsal: int = ROWS, rehearsal_data: str = "", overrides: Iterable[str] = ()
    ) -> RoundPlan:
        """The plan of the round that is open, or a new one of the corrections so far.

        Raises:
            DataError: too few corrections.
        """
        number = self.open_round()
        if number is not None:
            return RoundPlan.read(self.folder.round_folder(number))
        corrections = self.corrections()
        missing = missing_corrections(corrections)
        if missing:
            raise DataError(f"{self.folder.images}: {missing}")
        state = self.state
        numbers = self._round_numbers()
        plan = RoundPlan(
            number=(numbers[-1] if numbers else 0) + 1,
            model=state.model,
            start=state.start,
            version=corrections.version,
            train=labeled(corrections.train),
            hold_out=labeled(corrections.hold_out),
            rehearsal=rehearsal,
            rehearsal_data=rehearsal_data,
            overrides=tuple(overrides),
        )
        plan.write(self.folder.round_folder(plan.number))
        return plan

    def train(
        self, *, rehearsal: int = ROWS, rehearsal_data: str = "", overrides: Iterable[str] = ()
    ) -> dict[str, Any]:
        """A round: trains from the current model, tests before and after on the hold-out, keeps the better one.

        A round that was stopped goes on, with what was planned then.

        Raises:
            DataError: too few corrections, or an image is gone.
            RunError: another process reads or trains here.
        """
        with self.folder.locked():
            plan = self.plan_round(rehearsal=rehearsal, rehearsal_data=rehearsal_data, overrides=overrides)
            folder = self.folder.round_folder(plan.number)
            result = run_round(folder, self.folder.images, self.console)
            self.folder.finish_round(result, str((folder / RUN_NAME).absolute()) if result["kept"] else plan.model)
        return result

    def choose(self, number: int, *, keep: bool, who: str) -> LearnState:
        """Keeps or discards a finished round by hand, whatever the test says; the result records who did so.

        Raises:
            RunError: no such finished round, or a later one goes on from it.
        """
        with self.folder.locked():
            results: dict[int, dict[str, Any]] = {each["number"]: each for each in self.state.rounds}
            if number not in results:
                raise RunError(
                    f"{self.folder.images}: no finished round {number}; there are {sorted(results) or 'none'}"
                )
            if number != max(results):
                raise RunError(f"{self.folder.images}: round {number} is not the last one; choose about {max(results)}")
            result: dict[str, Any] = {**results[number], "kept": keep, "chosen_by": who}
            run = self.folder.round_folder(number) / RUN_NAME
            return self.folder.finish_round(result, str(run.absolute()) if keep else result["model"])

    def _doubt(self, reading: ImageReading, second: ImageReading | None) -> Doubt:
        """Computed once: it compares formulas, which takes about a millisecond."""
        if (reading, second) not in self._doubts:
            self._doubts[reading, second] = doubt_of(reading, second)
        return self._doubts[reading, second]

    def _round_numbers(self) -> list[int]:
        plans = (self.folder.root / "rounds").glob(f"*/{PLAN}")
        return sorted(int(plan.parent.name) for plan in plans if plan.parent.name.isdecimal())

    def _file(self, identity: str) -> ReadingFile:
        return ReadingFile(self.folder.root / "readings", identity)

    def _known(self, file: ReadingFile) -> dict[str, ImageReading]:
        return {key: reading for key, reading in file.read().items() if key in self.images.by_key}

    def _identity(self, model: str) -> str:
        if model not in self._identities:
            self._identities[model] = open_reader(model)[0]
        return self._identities[model]


def missing_corrections(corrections: Corrections) -> str:
    """What is missing before a round can be trained; "" where nothing is."""
    train, hold_out = len(corrections.train), len(corrections.hold_out)
    if train >= MIN_TRAIN and hold_out >= MIN_HOLD_OUT:
        return ""
    return (
        f"{train} corrected images to train on and {hold_out} held out; "
        f"at least {MIN_TRAIN} and {MIN_HOLD_OUT} are needed, correct some more"
    )
