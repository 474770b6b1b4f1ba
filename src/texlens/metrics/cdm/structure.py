r"""Our correction of CDM: a pair counts only where both tokens have the same place in the structure.

The authors compare places on the page to 20 pixels, two thirds of a letter's width, so that `\sqrt{n}y` and
`\sqrt{ny}`, or `x^2` and `x2`, are the same to them.
"""

from collections import Counter
from collections.abc import Sequence
from math import isqrt

from texlens.metrics.cdm.visible_tokens import VisibleToken

Pairs = Sequence[tuple[int, int]]
MAX_VOTES = 500_000
"""Half a second of work; a thousand tokens 22 levels deep take less."""

ALL_LEVELS = 1_000


def misplaced(
    reference: Sequence[VisibleToken], text: Sequence[VisibleToken], pairs: Pairs, counted: Sequence[bool]
) -> set[int]:
    """Indices of the counted pairs whose tokens have different places in the structure.

    Scripts must agree. Of fractions, radicals, accents and frames only those count that both sides have: a missing
    radical is one error, and its content is not a further one.
    """
    partner = _partners(reference, text, pairs)
    partnered = set(partner.values())
    wrong = set()
    for index, (row, column) in enumerate(pairs):
        if not counted[index]:
            continue
        a, b = reference[row], text[column]
        around = {(partner[container], slot) for container, slot in a.within if container in partner}
        around_text = {(container, slot) for container, slot in b.within if container in partnered}
        if a.scripts != b.scripts or around != around_text:
            wrong.add(index)
    return wrong | _emptied(reference, text, pairs, counted, partner)


def _partners(reference: Sequence[VisibleToken], text: Sequence[VisibleToken], pairs: Pairs) -> dict[int, int]:
    """Containers that belong together, since they share most content; by index, reference to text."""
    votes: Counter[tuple[int, int]] = Counter()
    most = counted_levels(reference, text, pairs)
    for row, column in pairs:
        for container, slot in reference[row].within[-most:]:
            for other, other_slot in text[column].within[-most:]:
                if slot == other_slot and reference[container].look == text[other].look:
                    votes[container, other] += 1
    paired = set(pairs)
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for (container, other), _ in sorted(votes.items(), key=lambda item: (-item[1], item[0] not in paired, item[0])):
        if container not in partner and other not in taken:
            partner[container] = other
            taken.add(other)
    return partner


def counted_levels(reference: Sequence[VisibleToken], text: Sequence[VisibleToken], pairs: Pairs) -> int:
    """How many of the innermost containers around a token vote: all, if the work stays under `MAX_VOTES`."""
    work = sum(len(reference[row].within) * len(text[column].within) for row, column in pairs)
    return isqrt(MAX_VOTES // len(pairs)) or 1 if work > MAX_VOTES else ALL_LEVELS


def _emptied(
    reference: Sequence[VisibleToken],
    text: Sequence[VisibleToken],
    pairs: Pairs,
    counted: Sequence[bool],
    partner: dict[int, int],
) -> set[int]:
    """Pairs of containers that both hold something, but nothing in common."""
    full = {container for row, _ in pairs for container, _ in reference[row].within}
    full_text = {container for _, column in pairs for container, _ in text[column].within}
    partnered = set(partner.values())
    return {
        index
        for index, (row, column) in enumerate(pairs)
        if counted[index] and row in full and column in full_text and (row not in partner or column not in partnered)
    }
