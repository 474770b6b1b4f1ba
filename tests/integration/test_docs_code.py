"""Code blocks of the documentation: commands parse, settings are valid under today's names, imports exist.

What the help texts print is run by `test_commands.py`, the READMEs' Python code by `test_readme_code.py`.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

from tests.integration.conftest import ROOT
from tests.unit.config.test_documented import keys
from texlens.cli.main import app
from texlens.config.aliases import RENAMED
from texlens.config.load import build_config
from texlens.config.run import RunConfig

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("README*.md"), ROOT / "CONTRIBUTING.md"])
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SHELLS = ("bash", "sh", "")
OPERATORS = re.compile(r"\s(?:\||>|>>|2>|<|&&|;)\s.*$")
COMMENT = re.compile(r"\s#\s.*$")
UsageError = typer.BadParameter.__mro__[1]
PLACEHOLDER = re.compile(r"[\[…]|\.\.\.")


class Block(NamedTuple):
    page: str
    language: str
    text: str


def blocks(*languages: str) -> Iterator[Block]:
    for page in PAGES:
        for indent, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language in languages:
                lines = (line.removeprefix(indent) for line in text.splitlines())
                yield Block(page.relative_to(ROOT).as_posix(), language, "\n".join(lines))


def commands() -> Iterator[tuple[str, str]]:
    for page, _, text in blocks(*SHELLS):
        for line in text.replace("\\\n", " ").splitlines():
            command = line.strip().removeprefix("$ ")
            if command.startswith("texlens ") and not PLACEHOLDER.search(COMMENT.sub("", command)):
                yield page, OPERATORS.sub("", COMMENT.sub("", command))


def parse(words: list[str]) -> None:
    """Parses options and arguments as the program does, without running anything."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="texlens")
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        chosen = command.get_command(context, name)
        assert chosen is not None, f"no command {name}"
        command, context = chosen, chosen.context_class(chosen, parent=context, info_name=name)
    _, left, _ = command.make_parser(context).parse_args(args=list(words))
    assert not left, f"not understood: {left}"


def test_there_are_many_blocks():
    assert len(list(commands())) > 150
    assert len(list(blocks("yaml"))) > 10
    assert len(list(blocks("python"))) > 10


@pytest.mark.parametrize("page", sorted({page for page, _ in commands()}))
def test_commands_of_a_page_parse(page):
    faults = []
    for _, line in (entry for entry in commands() if entry[0] == page):
        try:
            parse(shlex.split(line)[1:])
        except (UsageError, AssertionError) as error:
            faults.append(f"{line}: {error}")
    assert faults == []


def test_commands_that_do_not_parse_are_found():
    with pytest.raises(UsageError, match="--no-such"):
        parse(["read", "a.png", "--no-such"])
    with pytest.raises(AssertionError, match="no command raed"):
        parse(["raed"])


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=lambda block: block.page)
def test_settings_of_a_page_are_valid_under_the_names_of_today(block, capsys):
    values = yaml.safe_load(block.text)
    if "jobs" in values or "services" in values or "dependencies" in values:
        pytest.skip("settings of another program")
    least = {"model": {"path": "nano"}, "data": {"path": "demo"}}
    values = {**values, **{name: {**least[name], **values.get(name, {})} for name in least}}
    build_config(values, where=block.page)
    assert "old name" not in capsys.readouterr().err


@pytest.mark.parametrize("block", list(blocks("python")), ids=lambda block: block.page)
def test_python_code_of_a_page_compiles_and_its_imports_exist(block):
    compile(block.text, block.page, "exec")
    for node in ast.walk(ast.parse(block.text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
        if isinstance(node, ast.Import | ast.ImportFrom) and any(str(name).startswith("texlens") for name in names):
            exec(ast.unparse(node), {})


GENERATE = re.compile(r"\.generate\(\*\*inputs, (.*)\)")
SAMPLING = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}
"""What checkpoints of Qwen on the hub decode with: Qwen3-VL samples, Qwen2.5-VL has the penalty."""


def test_generate_calls_of_the_pages_decode_greedily_whatever_the_checkpoint_sets():
    from transformers import GenerationConfig

    calls = [call for page in PAGES for call in GENERATE.findall(page.read_text(encoding="utf-8"))]
    assert calls
    for call in calls:
        config = GenerationConfig(**SAMPLING)
        keywords = ast.parse(f"f({call})", mode="eval").body.keywords
        config.update(**{keyword.arg: ast.literal_eval(keyword.value) for keyword in keywords})
        assert config.get_generation_mode() == "greedy_search"
        assert config.repetition_penalty == 1.0


KEY = re.compile(r"`((?:model|data|base|adapter|train|evaluate)(?:\.[a-z_]+)+)(?:[:=][^`]*)?`")
FREE = (
    "adapter.groups.",
    "adapter.experts.",
    "data.augment.",
    "data.json",
    "train.parquet",
    "model.safetensors",
    "model.gguf",
)

"""Keys that users choose or that belong to a mapping's own schema, and names of files."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_settings_named_in_the_text_exist(page):
    if page.stem == "experiment-log":
        pytest.skip("a diary, with the names of its days")
    named = set(KEY.findall(page.read_text(encoding="utf-8")))
    known = keys(RunConfig) | (set(RENAMED) if page.stem == "configuration" else set())
    assert sorted(name for name in named - known if not name.startswith(FREE)) == []


def test_pages_are_found():
    assert Path(ROOT / "README.md") in PAGES
