"""What a folder of images keeps about its learning, in `learn/` inside of it:

    state.json           the model at the start and now, the hold-out's share, the rounds and their results
    corrections.jsonl    every correction: who, when, old, new (an edits file, see data/edits)
    readings/MODEL.jsonl what a model read from each image
    rounds/N/            a round: plan.json, data/, run/, before.jsonl, after.jsonl, result.json
    .lock                held while a process reads or trains

Files are replaced whole or only appended to, so a kill at any moment loses nothing that was confirmed.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from texlens.core.errors import ConfigError, DataError, RunError
from texlens.core.files import write_json
from texlens.core.locks import exclusive
from texlens.data.edits.log import EditLog
from texlens.workflows.learn.images import STATE_FOLDER

HOLD_OUT_SHARE = 0.25


@dataclass(frozen=True)
class LearnState:
    """
    Attributes:
        start: the model that read first.
        model: the model that reads now: the start, or the run of the last round that was kept.
        hold_out: share of the images that are only used to measure; it never changes.
        rounds: result of each finished round, in order.
        second: a model whose readings are compared with the first one's; "" for none.
    """

    start: str
    model: str
    hold_out: float = HOLD_OUT_SHARE
    second: str = ""
    rounds: tuple[dict[str, Any], ...] = field(default=())
    version: int = 1


class LearnFolder:
    """Paths of the state, and the state itself."""

    def __init__(self, images: Path):
        self.images = images
        self.root = images / STATE_FOLDER
        self.corrections = EditLog(self.root / "corrections.jsonl")
        self.uploads = images / "uploads"

    @property
    def has_state(self) -> bool:
        return (self.root / "state.json").is_file()

    @property
    def state(self) -> LearnState:
        """
        Raises:
            RunError: none yet, or a damaged one.
        """
        path = self.root / "state.json"
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            values["rounds"] = tuple(values["rounds"])
            return LearnState(**values)
        except FileNotFoundError:
            raise RunError(
                f"{self.images}: nothing was learned here yet; `texlens learn {self.images}` begins"
            ) from None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise RunError(
                f"{path}: damaged ({error}); restore it, or remove it to begin with the start model"
            ) from None

    def begin(
        self, *, model: str | None = None, hold_out: float | None = None, second: str | None = None
    ) -> LearnState:
        """The state, created by the first call; None leaves what it says, or the default.

        Raises:
            ConfigError: another model or share than the folder began with.
        """
        if not self.has_state:
            start = _absolute(model or "nano")
            share = HOLD_OUT_SHARE if hold_out is None else hold_out
            if not 0 < share < 1:
                raise ConfigError(f"hold-out {share:g}: a share of the images, more than 0 and less than 1")
            state = LearnState(start, start, share, _absolute(second or ""))
            self._write(state)
            return state
        state = self.state
        if model is not None and _absolute(model) not in (state.start, state.model):
            raise ConfigError(
                f"{self.images}: began with the model {state.start}; leave --model out, or copy the folder"
            )
        if hold_out is not None and hold_out != state.hold_out:
            raise ConfigError(
                f"{self.images}: {state.hold_out:g} of its images are held out, and another share would train on some; "
                "leave --hold-out out"
            )
        if second is not None and _absolute(second) != state.second:
            state = replace(state, second=_absolute(second))
            self._write(state)
        return state

    def finish_round(self, result: dict[str, Any], model: str) -> LearnState:
        """Adds a round's result, once, and names the model that reads from now on."""
        state = self.state
        others = [each for each in state.rounds if each["number"] != result["number"]]
        rounds = tuple(sorted([*others, result], key=lambda each: each["number"]))
        state = replace(state, rounds=rounds, model=model)
        self._write(state)
        return state

    def round_folder(self, number: int) -> Path:
        return self.root / "rounds" / str(number)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from reading or training here; corrections need no lock.

        Raises:
            RunError: another process does.
        """
        with exclusive(self.root / ".lock", self._busy):
            yield

    def _busy(self, process: str) -> RunError:
        return RunError(f"{self.images}: process {process} reads or trains here; wait for it or stop it")

    def _write(self, state: LearnState) -> None:
        write_json(self.root / "state.json", {**asdict(state), "rounds": list(state.rounds)})


def _absolute(model: str) -> str:
    """Local paths by absolute paths, so that they are found from any folder."""
    if model in ("", "nano"):
        return model
    try:
        path = Path(model).expanduser()
        return str(path.absolute()) if path.exists() else model
    except (OSError, ValueError) as error:
        raise DataError(f"{model!r}: no name that a model can have ({error})") from None
