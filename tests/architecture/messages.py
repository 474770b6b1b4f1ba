"""Finds the messages that a user can meet, as templates. `python -m tests.architecture.messages` lists those without a
Chinese translation, ready to be filled in under `src/texlens/core/locales/zh`."""

import ast
import inspect
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from typer.main import get_command

from texlens.cli.help import PROGRAM, SHORT_HELP_CHARS
from texlens.cli.main import app
from texlens.core.language import LANGUAGE_VARIABLE, translated
from texlens.data.catalog import CATALOG
from texlens.data.validate.findings import KINDS
from texlens.metrics.registry import METRICS

SOURCE = Path(__file__).parents[2] / "src" / "texlens"
HOLE = "{}"
MIN_LETTERS = 4
"""Templates with fewer letters of their own, such as `{}: {}`, have nothing to translate."""
PRINTERS = re.compile(r"(^|[._])(console|messages|out|message_console\(\)|result_console\(\))\.print$")
WARNERS = re.compile(r"(^|\.)_?(print_note|warn|note|report|translated)$|(^|\.)(notes|warnings|reasons|lines)\.append$")
TITLES = re.compile(r"(^|\.)(Table|add_column)$")
PROGRESS = re.compile(r"(^|\.)(add_task|status)$")
COMMAND = re.compile(r"(pip|python\S*|npm|git|apt-get|export \S+=|echo|nvidia-smi|--set \S+=)[^;]*")
"""Something to type, which is the same in every language; `apt-get install x, or set y` is prose."""
UNCHANGED = {"bold red", 'SYSTEM """{}"""', "echo CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES; nvidia-smi"}
"""Texts that no person reads as words."""
IDENTIFIER = re.compile(r"[\w.:<>/#*=-]*[_./:<>#=A-Z][\w.:<>/#*=-]*")
"""A name of a setting, file, variable or package, which is the same in every language."""
TYPED = re.compile(r"`[^`]*`|(texlens|pip|npm|apt-get|python) [\x20-\x7e]*")
ENGLISH = re.compile(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b|[a-z]{2,} (of|is|in|for|the|to|from) ")
"""Words that a message which was translated in part still has."""
MAX_DEPTH = 4


@dataclass(frozen=True)
class Message:
    package: str
    file: str
    line: int
    template: str


@dataclass
class Module:
    """A file's functions, constants and imports of the project, by name."""

    name: str
    tree: ast.Module
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef):
                self.functions.setdefault(node.name, node)
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.imports.update({alias.asname or alias.name: (node.module, alias.name) for alias in node.names})
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                self.constants[node.target.id] = node.value


class Project:
    def __init__(self, source: Path = SOURCE):
        self.source = source
        files = sorted(source.rglob("*.py"))
        trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
        self.modules = {_module_name(file, source): Module(_module_name(file, source), trees[file]) for file in files}
        self.files = {_module_name(file, source): file for file in files}

    @cached_property
    def errors(self) -> set[str]:
        """Names of `TexlensError` and all classes derived from it."""
        names = {"TexlensError"}
        classes = [
            (node.name, {ast.unparse(base) for base in node.bases})
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef)
        ]
        while more := {name for name, bases in classes if bases & names} - names:
            names |= more
        return names

    def messages(self) -> list[Message]:
        """Every template once, with the first place that has it."""
        unique: dict[str, Message] = {}
        for name, module in self.modules.items():
            file = self.files[name].relative_to(self.source)
            for line, template in _Collector(self, module).templates():
                text = " ".join(template.split())
                if _has_words(text):
                    unique.setdefault(text, Message(file.parts[0], str(file), line, text))
        return list(unique.values())


class _Collector:
    def __init__(self, project: Project, module: Module):
        self.project, self.module = project, module

    def templates(self) -> Iterator[tuple[int, str]]:
        for function, node in _calls(self.module.tree):
            for argument in self._message_arguments(node):
                for template in self.texts(argument, function, 0):
                    if TITLES.search(ast.unparse(node.func)) or not _is_one_word(template):
                        yield node.lineno, template

    def _message_arguments(self, call: ast.Call) -> list[ast.expr]:
        name = ast.unparse(call.func)
        if name in self.project.errors or WARNERS.search(name):
            return call.args[:1]
        if name == "ValueError" and self.module.name.startswith("texlens.config"):
            return call.args[:1]
        if PRINTERS.search(name):
            return call.args
        if TITLES.search(name):
            return [*call.args, *(word.value for word in call.keywords if word.arg == "title")]
        if PROGRESS.search(name):
            return call.args[:1]
        if name in ("row_bar", "total_bar"):
            return [call.args[1], *call.args[3:]]
        if name == "_remark":
            return call.args[1:2]
        if name == "Check" and self.module.name.startswith("texlens.workflows"):
            return [*call.args[2:], *(word.value for word in call.keywords if word.arg == "remedy")]
        return []

    def texts(self, node: ast.expr, function: ast.FunctionDef | None, depth: int) -> Iterator[str]:
        """The templates that an expression may be, and those of the parts that are messages of their own."""
        if depth > MAX_DEPTH:
            return
        template, parts = _template(node)
        if template is not None:
            yield template
        for part in parts:
            yield from self._of_part(part, function, depth)

    def _of_part(self, node: ast.expr, function: ast.FunctionDef | None, depth: int) -> Iterator[str]:
        if isinstance(node, ast.IfExp):
            yield from self.texts(node.body, function, depth)
            yield from self.texts(node.orelse, function, depth)
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                yield from self.texts(value, function, depth)
        elif isinstance(node, ast.Name):
            yield from self._of_name(node.id, function, depth)
        elif isinstance(node, ast.Call):
            yield from self._of_call(node, function, depth)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            yield from self._of_name(node.value.id, function, depth)
        elif isinstance(node, ast.Dict):
            for value in node.values:
                yield from self.texts(value, function, depth)
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            for value in node.elts:
                yield from self.texts(value, function, depth)
        elif isinstance(node, ast.ListComp | ast.GeneratorExp):
            yield from self.texts(node.elt, function, depth)
        elif isinstance(node, ast.Starred):
            yield from self.texts(node.value, function, depth)

    def _of_name(self, name: str, function: ast.FunctionDef | None, depth: int) -> Iterator[str]:
        for value in _assigned(name, function):
            yield from self.texts(value, function, depth + 1)
        module, original = self._home(name)
        if module is not None and original in module.constants:
            value = module.constants[original]
            yield from _Collector(self.project, module).texts(value, None, depth + 1)

    def _of_call(self, node: ast.Call, function: ast.FunctionDef | None, depth: int) -> Iterator[str]:
        name = ast.unparse(node.func)
        if name.endswith(".join") and not isinstance(node.args[0], ast.Name):
            yield from self.texts(node.args[0], function, depth + 1)
        elif name.endswith(".get"):
            yield from self._of_name(name.removesuffix(".get"), function, depth)
        elif name == "Text.assemble":
            for argument in node.args:
                first = argument.elts[0] if isinstance(argument, ast.Tuple) else argument
                yield from self.texts(first, function, depth + 1)
        elif name in {"translated", "one_line", "visible", "str", "escape", "Text"}:
            for argument in node.args:
                yield from self.texts(argument, function, depth + 1)
        module, original = self._home(name)
        called = module.functions.get(original) if module else None
        if module is None or called is None or called is function:
            return
        for inner in ast.walk(called):
            if isinstance(inner, ast.Return | ast.Yield) and inner.value is not None:
                yield from _Collector(self.project, module).texts(inner.value, called, depth + 1)

    def _home(self, name: str) -> tuple[Module | None, str]:
        """The module of the project that defines a name, and its name there."""
        if name in self.module.imports:
            module, original = self.module.imports[name]
            return self.project.modules.get(module), original
        return self.module, name


def _template(node: ast.expr) -> tuple[str | None, list[ast.expr]]:
    """The text with `{}` for what varies, and the expressions that vary; None where it is no text."""
    if isinstance(node, ast.Constant):
        return (_escaped(node.value), []) if isinstance(node.value, str) else (None, [])
    if isinstance(node, ast.JoinedStr):
        pieces = [_escaped(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values]
        return "".join(pieces), [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        (left, in_left), (right, in_right) = _template(node.left), _template(node.right)
        if left is None and right is None:
            return None, [node.left, node.right]
        return (left or HOLE) + (right or HOLE), in_left + in_right
    return None, [node]


def _escaped(text: object) -> str:
    """Braces of the text itself as `format` takes them."""
    return str(text).replace("{", "{{").replace("}", "}}")


def _assigned(name: str, function: ast.FunctionDef | None) -> Iterator[ast.expr]:
    for node in ast.walk(function) if function else ():
        if (isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)) or (
            isinstance(node, ast.NamedExpr) and node.target.id == name
        ):
            yield node.value
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name) and node.target.id == name:
            yield node.iter


def _calls(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
    """Every call with the innermost function that holds it."""

    def visit(node: ast.AST, function: ast.FunctionDef | None) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
        if isinstance(node, ast.FunctionDef):
            function = node
        if isinstance(node, ast.Call):
            yield function, node
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    yield from visit(tree, None)


def _is_one_word(template: str) -> bool:
    """Names and choices; those that are words of a sentence may be translated, but need not be."""
    return len(template.split()) == 1 and re.search("[.!]$", template) is None


def _has_words(template: str) -> bool:
    text = template.replace(HOLE, "")
    if IDENTIFIER.fullmatch(text) or (COMMAND.fullmatch(template) and " or " not in template):
        return False
    if template in UNCHANGED:
        return False
    return sum(map(str.isalpha, text)) >= MIN_LETTERS


def _module_name(file: Path, source: Path) -> str:
    return ".".join(("texlens", *file.relative_to(source).with_suffix("").parts)).removesuffix(".__init__")


def registry_texts() -> list[str]:
    """What the tables of metrics and of findings call them, and what the catalog says of data sets."""
    titles = [metric.title for metric in METRICS]
    findings = [text for kind in KINDS.values() for text in (kind.title, kind.remedy)]
    entries = [text for entry in CATALOG for text in (entry.holds, entry.defects, entry.unverified)]
    return titles + [text for text in dict.fromkeys(findings + entries) if " " in text]


def help_texts() -> list[str]:
    """What the help pages say: first sentences and paragraphs of commands, and the help of options and arguments."""
    texts: dict[str, None] = {}
    for command in _commands(get_command(app)):
        short = command.get_short_help_str(SHORT_HELP_CHARS)
        paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
        shown = [text for text in paragraphs if not text.strip().startswith(PROGRAM)]
        options = [parameter.help for parameter in command.params if getattr(parameter, "help", None)]
        texts |= dict.fromkeys(" ".join(text.split()) for text in (short, *shown, *options) if text.strip())
    return list(texts)


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from _commands(child)


def templates() -> list[str]:
    """All that has to be translated."""
    help_pages = [_escaped(text) for text in help_texts()]
    return [message.template for message in Project().messages()] + registry_texts() + help_pages


def filled(template: str) -> str:
    """The template with something else in each place, that is no message."""
    numbers = count()
    text = re.sub(re.escape(HOLE), lambda _: f"<{next(numbers)}>", template)
    return text.replace("{{", "{").replace("}}", "}")


def untranslated(every: Iterable[str]) -> list[str]:
    """Templates whose Chinese text is missing, leaves out a part or is half English; TEXLENS_LANG has to be zh."""
    return [template for template in every if not _is_translated(template)]


def _is_translated(template: str) -> bool:
    text = translated(filled(template))
    says_all = all(f"<{number}>" in text for number in range(template.count(HOLE)))
    is_half = ENGLISH.search(TYPED.sub("", text)) is not None
    return says_all and re.search("[\u4e00-\u9fff：]", text) is not None and not is_half


if __name__ == "__main__":
    os.environ[LANGUAGE_VARIABLE] = "zh"
    print("\n".join(f"{template} => " for template in untranslated(templates())))
