"""The use of a MoE-LoRA's experts as inline SVG: a column for each layer, a cell for each expert."""

from collections.abc import Mapping, Sequence
from html import escape

from texlens.evaluation.expert_utilization import dead_experts

WIDTH, CELL_HEIGHT, LABEL = 640, 26, 64
MOST_NAMED = 12


def expert_chart(use: Mapping[str, Sequence[float]]) -> str:
    """The SVG, darker where an expert is used more, with the share in each cell's title; empty without any."""
    if not use:
        return ""
    experts = max(map(len, use.values()))
    width = (WIDTH - LABEL) / len(use)
    cells = [
        _cell(LABEL + column * width, row * CELL_HEIGHT, width, share, f"{layer}, expert {row + 1}: {share:.1%}")
        for column, (layer, shares) in enumerate(use.items())
        for row, share in enumerate(shares)
    ]
    labels = [
        f'<text class="tick" x="{LABEL - 8}" y="{(row + 0.65) * CELL_HEIGHT:.0f}" text-anchor="end">'
        f"expert {row + 1}</text>"
        for row in range(experts)
    ]
    height = experts * CELL_HEIGHT + 20
    return (
        f'<svg class="experts" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="use of experts by layer">'
        f"{''.join(labels)}{''.join(cells)}"
        f'<text class="axis-title" x="{LABEL}" y="{height - 4}">layers, first to last: darker is used more</text></svg>'
    )


def dead_line(use: Mapping[str, Sequence[float]]) -> str:
    """Which experts hardly get a token, in words; empty without a measurement."""
    if not use:
        return ""
    dead = [f"{layer} expert {number + 1}" for layer, number in dead_experts(use)]
    if not dead:
        return "No expert is dead: each gets at least a tenth of an even share."
    more = f" and {len(dead) - MOST_NAMED} more" if len(dead) > MOST_NAMED else ""
    return f"Dead (under a tenth of an even share): {', '.join(dead[:MOST_NAMED])}{more}."


def _cell(x: float, y: float, width: float, share: float, title: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y}" width="{max(width - 0.5, 0.5):.2f}" height="{CELL_HEIGHT - 2}" fill="currentColor" '
        f'fill-opacity="{0.05 + 0.95 * min(max(share, 0.0), 1.0):.3f}"><title>{escape(title)}</title></rect>'
    )
