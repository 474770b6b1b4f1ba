"""The rewards by name: each a pure function of a prediction and its reference.

To add one, add an entry to `REWARDS`. A package may register its own under the entry point group `texlens.rewards`, as
a function `(text, reference) -> float`; `own.py` loads those that a command line names as `module:function`.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.metrics.repetition import has_loop
from texlens.metrics.scored_prediction import ScoredPrediction

GROUP = "texlens.rewards"
FREE_SHARE, FREE_TOKENS = 0.25, 4
"""A text may have so many more tokens than its reference before `length` counts them."""
CUT_STOPS = ("length", "loop")


@dataclass(frozen=True)
class Reward:
    """`of_row` is deterministic and depends on nothing but its argument."""

    name: str
    definition: str
    of_row: Callable[[ScoredPrediction], float]


def length_penalty(row: ScoredPrediction) -> float:
    """0 for a text up to a quarter and 4 tokens longer than its reference, then down to -1 at twice that length and
    beyond; -1 for one that was cut. The soft overlong penalty of DAPO (arXiv:2503.14476, equation 13), with the
    reference's length for the limit.

    Example:
        reference of 16 tokens: 24 tokens -> 0.0;  36 -> -0.5;  48 -> -1.0
    """
    if row.prediction.stop in CUT_STOPS:
        return -1.0
    free = (1 + FREE_SHARE) * len(row.reference_tokens) + FREE_TOKENS
    return -min(1.0, max(0.0, len(row.text_tokens) - free) / free)


def repetition_penalty(row: ScoredPrediction) -> float:
    """-1 for a text that repeats itself (see `metrics.repetition`), else 0."""
    return -float(row.prediction.stop == "loop" or has_loop(row.reference_tokens, row.text_tokens))


REWARDS: Mapping[str, Reward] = {
    reward.name: reward
    for reward in (
        Reward(
            "exact",
            "1 if text and reference have one canonical form, else 0.",
            lambda row: float(row.is_canonically_exact),
        ),
        Reward("cdm_f1", "Character detection matching, 0 to 1.", lambda row: row.cdm.f1),
        Reward("edit_similarity", "1 - token edits / tokens of the longer.", lambda row: row.edit_similarity),
        Reward(
            "valid",
            "1 if the text parses and can be drawn and has nothing around it, else 0.",
            lambda row: float(row.is_valid),
        ),
        Reward("length", "0 to -1 for a text much longer than its reference, -1 if it was cut.", length_penalty),
        Reward("repetition", "-1 for a text that repeats itself, else 0.", repetition_penalty),
        Reward(
            "error_preservation",
            "1 if a text keeps the deliberate slip of its reference (column `corrected`), else 0.",
            lambda row: float(row.slip_kept is True),
        ),
    )
}

RewardFunction = Callable[[str, str], float]
"""Of a package or a user: text and reference to a number."""


def chosen_rewards(names: Iterable[str], key: str) -> tuple[Reward, ...]:
    """The rewards named, our own or registered ones.

    Raises:
        ConfigError: no reward of that name; `key` is the setting that named it.
    """
    return tuple(_named(name, key) for name in names)


def reward_names() -> list[str]:
    """All that a run file can name: our own, then those of installed packages."""
    return [*REWARDS, *sorted(entry.name for entry in entry_points(group=GROUP) if entry.name not in REWARDS)]


def from_function(name: str, function: RewardFunction) -> Reward:
    """A function of text and reference as a reward."""
    return Reward(name, f"{name}(text, reference)", lambda row: function(row.text, row.reference))


def _named(name: str, key: str) -> Reward:
    if name in REWARDS:
        return REWARDS[name]
    if ":" in name:
        raise ConfigError(
            f"{key}: {name!r} names code, which runs from no run file or run folder; give it on this call's command "
            f"line: --reward {name}"
        )
    registered = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if registered:
        return from_function(name, registered[0].load())
    known = reward_names()
    near = difflib.get_close_matches(name, known, 1, 0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise ConfigError(f"{key}: no reward is named {name!r}; {hint}")


def check_names(names: Sequence[str], key: str) -> None:
    """
    Raises:
        ConfigError: no reward of that name.
    """
    chosen_rewards(names, key)


def reward_values(prediction: Prediction, rewards: Sequence[Reward]) -> dict[str, float]:
    """Each reward's value; a row that could not be read is worth 0 everywhere."""
    if prediction.stop == "failed":
        return {reward.name: 0.0 for reward in rewards}
    row = ScoredPrediction.of(prediction)
    return {reward.name: float(reward.of_row(row)) for reward in rewards}
