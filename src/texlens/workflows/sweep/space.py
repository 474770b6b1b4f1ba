"""What a sweep varies: `--over KEY=8,16,32` are choices, `--over KEY=1e-5..3e-4` is a range."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from texlens.config.yaml_file import parse_yaml
from texlens.core.errors import ConfigError

LOG_FROM_RATIO = 10
"""A range of positive numbers whose ends differ by this factor is drawn on a logarithmic scale."""
RANGE = re.compile(r"([-+.\deE]+)\.\.([-+.\deE]+)")
SIGNIFICANT_DIGITS = 4
"""Of a number drawn from a range."""


@dataclass(frozen=True)
class Choices:
    """Values of one setting, each as likely as the others."""

    key: str
    values: tuple[Any, ...]

    def at(self, position: float) -> Any:
        """The value at a position in [0, 1)."""
        return self.values[min(len(self.values) - 1, int(position * len(self.values)))]


@dataclass(frozen=True)
class NumberRange:
    """Numbers between two ends, whole ones where both ends are."""

    key: str
    low: float
    high: float
    log: bool
    whole: bool

    def at(self, position: float) -> float | int:
        """The value at a position in [0, 1): evenly spaced, or evenly in the logarithm."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if self.whole and not self.log:
            return int(self.low) + min(int(position * (self.high - self.low + 1)), int(self.high - self.low))
        value = low + position * (high - low)
        return rounded(math.exp(value) if self.log else value, self.whole)


Dimension = Choices | NumberRange


def rounded(value: float, whole: bool) -> float | int:
    return round(value) if whole else float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def parse_over(text: str) -> Dimension:
    """
    Example:
        "adapter.rank=8,16,32"                  -> Choices("adapter.rank", (8, 16, 32))
        "train.optimizer.learning_rate=1e-5..3e-4" -> NumberRange(…, 1e-05, 0.0003, log=True, whole=False)
        "adapter.targets=[q_proj],[q_proj, v_proj]" -> two lists

    Raises:
        ConfigError: not written as key=values, a single value, or a range that ends before it begins.
    """
    key, equals, values = text.partition("=")
    key = key.strip()
    if not equals or not key or not values.strip():
        raise ConfigError(f"--over {text!r}: write it as key=8,16,32 or key=1e-5..3e-4")
    if match := RANGE.fullmatch(values.strip()):
        return _range(key, match[1], match[2], text)
    parts = tuple(parse_yaml(part, "--over") for part in _parts(values))
    if len(parts) < 2:
        raise ConfigError(f"--over {text!r}: one value is no choice; give several, or use --set")
    return Choices(key, parts)


def parse_space(overs: Iterable[str]) -> list[Dimension]:
    """
    Raises:
        ConfigError: as `parse_over`; nothing to vary, or a key twice.
    """
    space = [parse_over(over) for over in overs]
    keys = [dimension.key for dimension in space]
    if not space:
        raise ConfigError("--over is missing: name what to vary, such as --over adapter.rank=8,16,32")
    if len(set(keys)) < len(keys):
        raise ConfigError(f"--over {max(keys, key=keys.count)}: given twice; put all its values into one")
    return space


def as_setting(key: str, value: Any) -> str:
    """For `--set`: JSON, which YAML reads."""
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def _range(key: str, first: str, last: str, text: str) -> NumberRange:
    try:
        low, high = float(first), float(last)
    except ValueError:
        raise ConfigError(f"--over {text!r}: the ends of a range are numbers, such as 1e-5..3e-4") from None
    if not low < high or not math.isfinite(high - low):
        raise ConfigError(f"--over {text!r}: a range goes from a smaller number to a larger one")
    whole = all(re.fullmatch(r"[-+]?\d+", end) for end in (first, last))
    return NumberRange(key, low, high, low > 0 and high / low >= LOG_FROM_RATIO, whole)


def _parts(text: str) -> list[str]:
    """Divided at commas that are in no bracket or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        depth += (letter in "[{") - (letter in "]}") if not quote else 0
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
