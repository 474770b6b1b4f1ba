r"""Decoding constrained by the grammar of formulas: no unbalanced brace, environment or `\left`, no unknown command.

A `TokenGrammar` belongs to a tokenizer, a `RowGrammar` to a row that is being decoded. The model's likeliest token is
checked first, in a dictionary look-up once the pair of state and token was seen, so that a valid reading costs next to
nothing. Near the token limit only tokens are accepted after which the formula can still be completed in time.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from texlens.inference.decoding.detokenize import TokenBytes
from texlens.inference.decoding.sampling import Sampling
from texlens.latex.grammar import START, State, advance, closing, is_complete

_MAX_NODES = 200_000
CANDIDATES = 64
"""Likeliest tokens that are tried before the formula is closed."""


class _Node:
    """A state of the automaton with the transitions that were followed from it."""

    __slots__ = ("complete", "cost", "next", "state")

    def __init__(self, state: State):
        self.state = state
        self.next: dict[int, _Node | None] = {}
        self.complete = is_complete(state)
        self.cost: int | None = 0 if self.complete else None


class TokenGrammar:
    """The grammar over the tokens of a vocabulary; for any number of rows and threads of one process.

    Args:
        token_bytes: the bytes of a token; none for a special token.
        encode: text to token ids, without special tokens.
        end_ids: tokens that end the answer.
    """

    def __init__(
        self, token_bytes: Callable[[int], bytes], encode: Callable[[str], Sequence[int]], end_ids: Iterable[int]
    ):
        self._token_bytes = token_bytes
        self._encode = encode
        self.end_ids = frozenset(end_ids)
        self._texts: dict[int, str | None] = {}
        self._nodes: dict[State, _Node] = {}
        self.start = self._node(START)

    def row(self, max_new_tokens: int) -> "RowGrammar":
        return RowGrammar(self, max_new_tokens)

    def step(self, node: _Node, token: int) -> _Node | None:
        """The node after a token, or None where the grammar refuses it."""
        if token in node.next:
            return node.next[token]
        text = self._text(token)
        state = None if text is None else advance(node.state, text)
        after = node.next[token] = None if state is None else self._node(state)
        return after

    def closing_tokens(self, node: _Node) -> list[int]:
        """Tokens that complete the formula."""
        return list(self._encode(closing(node.state)))

    def cost(self, node: _Node) -> int:
        """How many tokens it takes to complete the formula."""
        if node.cost is None:
            node.cost = len(self.closing_tokens(node))
        return node.cost

    def _node(self, state: State) -> _Node:
        node = self._nodes.get(state)
        if node is None:
            if len(self._nodes) >= _MAX_NODES:
                self._nodes.clear()
            node = self._nodes[state] = _Node(state)
        return node

    def _text(self, token: int) -> str | None:
        """A token's text; None for special tokens and for parts of a character."""
        if token not in self._texts:
            data = self._token_bytes(token)
            try:
                self._texts[token] = data.decode("utf-8") or None
            except UnicodeDecodeError:
                self._texts[token] = None
        return self._texts[token]


def token_grammar(tokenizer: Any, end_ids: frozenset[int]) -> TokenGrammar:
    """The grammar over a tokenizer's tokens; one for each tokenizer, since its look-ups are kept."""
    key = id(tokenizer)
    if key not in _GRAMMARS or _GRAMMARS[key][0] is not tokenizer:
        token_bytes = TokenBytes(tokenizer)
        encode = partial(_encoded, tokenizer)
        _GRAMMARS[key] = tokenizer, TokenGrammar(token_bytes.__getitem__, encode, end_ids)
    return _GRAMMARS[key][1]


def row_grammar(tokenizer: Any, end_ids: frozenset[int], sampling: Sampling) -> "RowGrammar | None":
    """The grammar of a new row; None where its sampling has none."""
    return token_grammar(tokenizer, end_ids).row(sampling.max_new_tokens) if sampling.grammar else None


def _encoded(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


_GRAMMARS: dict[int, tuple[Any, TokenGrammar]] = {}


class RowGrammar:
    """The grammar's place in one row, and the tokens that are left to it."""

    def __init__(self, grammar: TokenGrammar, max_new_tokens: int):
        self.grammar = grammar
        self.left = max_new_tokens
        self._node = grammar.start
        self._forced: list[int] = []

    def accepts(self, token: int) -> bool:
        """Whether the formula can go on with a token and still be completed within the limit."""
        if self._forced:
            return token == self._forced[0]
        if token in self.grammar.end_ids:
            return self._node.complete
        after = self.grammar.step(self._node, token)
        return after is not None and self.grammar.cost(after) < self.left

    def take(self, token: int) -> None:
        """Follow a token that was chosen."""
        self.left -= 1
        if self._forced:
            self._forced = self._forced[1:]
        after = self.grammar.step(self._node, token)
        if after is not None:
            self._node = after

    def choose(self, likeliest: Iterable[int]) -> int:
        """The first accepted of some tokens, likeliest first; where none is, the next token that closes the formula."""
        for token in likeliest:
            if self.accepts(token):
                return token
        if not self._forced:
            if self._node.complete:
                return next(iter(self.grammar.end_ids))
            self._forced = self.grammar.closing_tokens(self._node)
        return self._forced[0] if self._forced else next(iter(self.grammar.end_ids))

    def close(self) -> None:
        """From here on accept only the tokens that complete the formula."""
        self._forced = self.grammar.closing_tokens(self._node)

    @property
    def is_complete(self) -> bool:
        return self._node.complete
