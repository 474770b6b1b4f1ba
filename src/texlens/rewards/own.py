"""A user's own reward, `module:function`, as this call's command line names it. Nothing else may name code."""

import importlib
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from texlens.core.errors import ConfigError
from texlens.rewards.registry import Reward, from_function

FORM = re.compile(r"^(?P<module>[A-Za-z_][\w.]*):(?P<function>[A-Za-z_]\w*)(?:=(?P<weight>[-+.\deE]+))?$")


@dataclass(frozen=True)
class OwnReward:
    """`name` is `module:function`."""

    name: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "OwnReward":
        """
        Example:
            "mine:score=0.5" -> OwnReward("mine:score", 0.5)

        Raises:
            ConfigError: not of this form.
        """
        if match := FORM.match(text):
            with suppress(ValueError):
                return cls(f"{match['module']}:{match['function']}", float(match["weight"] or 1.0))
        raise ConfigError(f"--reward {text!r}: write it as module:function or module:function=WEIGHT")

    def load(self) -> Reward:
        """The function, from a module that Python finds, the folder of this call included.

        Raises:
            ConfigError: there is no such module or function, or the module fails.
        """
        module_name, function_name = self.name.split(":")
        here = str(Path.cwd())
        added = here not in sys.path
        if added:
            sys.path.append(here)
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # a user's module may raise anything; its message is reported
            reason = f"{type(error).__name__}: {error}"
            raise ConfigError(f"--reward {self.name}: {module_name} can't be imported ({reason})") from error
        finally:
            if added:
                sys.path.remove(here)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise ConfigError(f"--reward {self.name}: {module_name} has no function {function_name}")
        return from_function(self.name, function)
