"""Help pages: no option name is cut at 80 columns, and examples are printed as they are typed."""

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from texlens.cli.translated_help import TranslatedFormatter
from texlens.core.language import is_chinese

SHORT_HELP_CHARS = 200
PROGRAM = "texlens "


class HelpCommand(TyperCommand):
    """A command whose examples keep their lines."""

    def get_help(self, ctx: Any) -> str:
        return _translated_help(self, ctx) if is_chinese() else super().get_help(ctx)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        write_help_text(self.help or "", formatter)


class HelpGroup(TyperGroup):
    """A group that lists its commands by topic, each with its full first sentence."""

    topics: Mapping[str, str] = {}
    """Command name -> topic; a subclass sets it."""

    def get_help(self, ctx: Any) -> str:
        return _translated_help(self, ctx) if is_chinese() else super().get_help(ctx)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        write_help_text(self.help or "", formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        by_topic: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                line = (name, command.get_short_help_str(SHORT_HELP_CHARS))
                by_topic.setdefault(self.topics.get(name, "Commands"), []).append(line)
        for topic, lines in by_topic.items():
            with formatter.section(topic):
                formatter.write_dl(lines)


def _translated_help(command: TyperCommand | TyperGroup, ctx: Any) -> str:
    formatter = TranslatedFormatter(width=ctx.terminal_width, max_width=ctx.max_content_width)
    command.format_help(ctx, formatter)
    return formatter.getvalue().rstrip("\n")


def use_help_commands(app: typer.Typer) -> None:
    """Gives all commands of `app` and of the groups in it these help pages."""
    for command in app.registered_commands:
        command.cls = HelpCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.cls = group.cls if isinstance(group.cls, type) and issubclass(group.cls, HelpGroup) else HelpGroup
            use_help_commands(group.typer_instance)


def write_help_text(text: str, formatter: Any) -> None:
    """Writes paragraphs wrapped, and commands that begin with `texlens` one per line."""
    formatter.write_paragraph()
    with formatter.indentation():
        for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
            if number:
                formatter.write_paragraph()
            if not paragraph.strip().startswith(PROGRAM):
                formatter.write_text(paragraph)
                continue
            for command in commands_in(paragraph):
                indent = formatter.current_indent + 2
                formatter.write(
                    textwrap.indent(wrapped_command(command, formatter.width - indent), " " * indent) + "\n"
                )


def commands_in(paragraph: str) -> Iterator[str]:
    r"""The commands of a paragraph, each joined from its lines.

    Example:
        "texlens a\n--b\ntexlens c" -> "texlens a --b", "texlens c"
    """
    command = ""
    for line in map(str.strip, paragraph.splitlines()):
        if line.startswith(PROGRAM) and command:
            yield command
            command = ""
        command = f"{command} {line}".strip()
    if command:
        yield command


def wrapped_command(command: str, width: int) -> str:
    r"""The command on lines of at most `width` characters where its words allow it, each option with its value, and
    with `\` at the ends of lines, as a shell takes it."""
    lines: list[str] = []
    for part in re.split(r" (?=-{1,2}[a-zA-Z])", command):
        if lines and len(lines[-1]) + 1 + len(part) <= width - 2:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}" if lines else part)
    return " \\\n".join(lines)
