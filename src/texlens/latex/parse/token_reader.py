"""Reading a source token by token: raw groups, options, delimiters and lengths."""

from texlens.core.errors import LatexError
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.lengths import DIMENSION, STRETCH, length_em
from texlens.latex.parse.tokens import Token

_DELIMITER_CHARACTERS = frozenset(character for character in sym.DELIMITERS.values() if character)


class TokenReader:
    """The tokens of a formula; `i` is the next one."""

    __slots__ = ("formula", "i", "texts", "tokens")

    def __init__(self, formula: str, tokens: list[Token]):
        self.formula = formula
        self.tokens = tokens
        self.texts = [token.text for token in tokens] + [""]
        self.i = 0

    def error(self, message: str, at: int | None = None) -> LatexError:
        at = self.i if at is None else at
        position = self.tokens[at].start if at < len(self.tokens) else len(self.formula)
        return LatexError(f"{message}, at character {position}", position)

    def raw(self, command: str) -> str:
        """The source text of a group in braces, or the next token."""
        if self.texts[self.i] in ("", "}"):
            raise self.error(f"`{command}` lacks its argument")
        if self.texts[self.i] != "{":
            self.i += 1
            return self.texts[self.i - 1]
        opened, level = self.i, 0
        while self.texts[self.i]:
            level += {"{": 1, "}": -1}.get(self.texts[self.i], 0)
            self.i += 1
            if level == 0:
                return self.formula[self.tokens[opened].end : self.tokens[self.i - 1].start]
        raise self.error(f"the argument of `{command}` is never closed", opened)

    def raw_optional(self) -> str | None:
        """The source text of `[…]`, or None where there is no option."""
        if self.texts[self.i] != "[":
            return None
        opened, level = self.i, 0
        while self.texts[self.i]:
            level += {"{": 1, "}": -1}.get(self.texts[self.i], 0)
            self.i += 1
            if level == 0 and self.texts[self.i] == "]":
                self.i += 1
                return self.formula[self.tokens[opened].end : self.tokens[self.i - 1].start]
        raise self.error("`[` is never closed", opened)

    def letter_option(self, letters: str) -> str:
        """`[t]` and the like, consumed, where it is exactly one of the letters; else the bracket is ink."""
        option = self.texts[self.i : self.i + 3]
        if len(option) < 3 or option[0] != "[" or option[1] not in tuple(letters) or option[2] != "]":
            return ""
        self.i += 3
        return option[1]

    def delimiter(self, command: str) -> str:
        text = self.texts[self.i]
        if text == "" or text == "}":
            raise self.error(f"`{command}` needs a delimiter")
        if text == "{" and self.texts[self.i + 1] in sym.DELIMITERS and self.texts[self.i + 2 : self.i + 3] == ["}"]:
            self.i += 3
            return self.texts[self.i - 2]
        if text not in sym.DELIMITERS and text not in _DELIMITER_CHARACTERS:
            raise self.error(f"`{command}` needs a delimiter, not `{text}`")
        self.i += 1
        return text

    def dimension(self) -> float:
        """A length written without braces, in em; what TeX lets follow (`plus 1fil`) is passed over."""
        if self.i >= len(self.tokens):
            return 0.0
        start = self.tokens[self.i].start
        match = DIMENSION.match(self.formula, start)
        assert match is not None
        end = match.end()
        while (more := STRETCH.match(self.formula, end)) is not None:
            end = more.end()
        while self.i < len(self.tokens) and self.tokens[self.i].start < end:
            self.i += 1
        return length_em(match)

    def braced_dimension(self, command: str) -> float:
        match = DIMENSION.match("".join(self.raw(command).split()))
        assert match is not None
        return length_em(match)
