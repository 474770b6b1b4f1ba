"""YAML as run files are read: the YAML 1.2 core schema, no key twice, and one line for whatever is wrong.

Unlike YAML 1.1, `on`, `yes` and `2026-11-30` are strings, `1e-4` is a number and `010` is ten.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from texlens.core.errors import ConfigError, one_line

MAX_BYTES = 1_000_000


class StrictLoader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2, which refuses a key written twice instead of keeping the last."""

    yaml_implicit_resolvers: dict = {}  # noqa: RUF012 - PyYAML's own registry, replaced for this class

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{self.name} line {line}: a key must be a word, not a list or mapping")
            key = self.construct_object(key_node, deep=deep)
            if key in keys:
                raise ConfigError(f"{self.name} line {line}: '{key}' is set twice; keep one")
            keys.add(key)
        return super().construct_mapping(node, deep)


def _resolver(tag: str, pattern: str, first: str) -> None:
    StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first))


def _integer(loader: StrictLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    return int(text, {"0x": 16, "0o": 8}.get(text[:2].lower(), 10))


_resolver("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolver("null", "~|null|Null|NULL", "~nN")
StrictLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
_resolver("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_resolver(
    "float",
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+0123456789.",
)
_resolver("merge", "<<", "<")
StrictLoader.add_constructor("tag:yaml.org,2002:int", _integer)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a run file.

    Raises:
        ConfigError: no such file, too large, not YAML, a key twice, or no mapping.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror or error}); check the path") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: {len(data):,} bytes, more than a run file can have; check the path")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a run file is a mapping that begins with 'model:' and 'data:'")
    return values


def parse_yaml(text: str, where: str) -> Any:
    """
    Raises:
        ConfigError: it is not YAML; `where` and the line are named.
    """
    try:
        loader = StrictLoader(text)
        loader.name = where
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = one_line(getattr(error, "problem", None) or error)
        hint = "; indent with spaces, not tabs" if "\\t" in problem else ""
        raise ConfigError(f"{where}{line}: not valid YAML ({problem}){hint}") from None
    except RecursionError:
        raise ConfigError(f"{where}: nested too deeply for a run file") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # PyYAML's, on `!!bool x` and the like
        raise ConfigError(f"{where}: a value can't be read ({one_line(error)})") from None
