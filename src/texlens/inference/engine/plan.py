"""How many rows the engine decodes together, and the memory that it takes beside the weights."""

from dataclasses import dataclass

from texlens.inference.engine.cache import PAGE_SIZE, pages_for

GIB = 2**30


@dataclass(frozen=True)
class EnginePlan:
    """
    Args:
        slots: rows that run together.
        pages: of the cache, for all rows.
        pages_per_slot: that one row can have.
        pack_tokens: prompt tokens that are prefilled together.
        join_at_least: while more rows wait than slots are free, none joins before so many slots are.
    """

    slots: int
    pages: int
    pages_per_slot: int
    pack_tokens: int = 16_384
    join_at_least: int = 1


def plan_for_rows(slots: int, positions: int, *, pack_tokens: int = 16_384) -> EnginePlan:
    """A plan for rows of up to `positions` tokens, prompt and answer together."""
    pages = pages_for(positions)
    return EnginePlan(slots, slots * pages, pages, pack_tokens, max(1, slots // 16))


def cache_bytes(plan: EnginePlan, *, layers: int, keys: int, width: int, itemsize: int) -> int:
    """Keys and values of all layers."""
    return 2 * layers * (plan.pages + 1) * PAGE_SIZE * keys * width * itemsize
