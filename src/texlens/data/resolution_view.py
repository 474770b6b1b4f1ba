"""A resolution plan for the terminal."""

from rich.console import Console
from rich.table import Table

from texlens.data.resolution import BudgetPlan, ResolutionPlan, Spread

BAR = 40
BLOCKS = " ▏▎▍▌▋▊▉█"


def show_plan(console: Console, plan: ResolutionPlan, family: str) -> None:
    """The budget asked for beside the recommended one, and how tokens spread under each."""
    unreadable = f", {plan.unreadable:,} can't be read" if plan.unreadable else ""
    console.print(f"{plan.rows:,} rows{unreadable}; family {family}, context {plan.context:,} tokens", markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for name in ("this budget", "recommended"):
        table.add_column(name, justify="right", no_wrap=True)
    for (label, current), (_, better) in zip(lines(plan.current), lines(plan.recommended.plan), strict=True):
        table.add_row(label, current, better)
    console.print(table)
    for name, budget in (("this budget", plan.current), ("recommended", plan.recommended.plan)):
        console.print(f"\nTokens an image, {name}", style="bold")
        _print_histogram(console, budget.tokens)
    console.print("\nRecommended", style="bold")
    for reason in plan.recommended.reasons:
        console.print(f"  {reason}", markup=False)
    best = plan.recommended.plan
    console.print(f"  --set model.min_pixels={best.min_pixels} --set model.max_pixels={best.max_pixels}", style="cyan")


def lines(budget: BudgetPlan) -> list[tuple[str, str]]:
    """What a budget does, in words: (label, value); also of the report."""
    mean = budget.image_tokens / max(1, budget.images)
    tokens, scale, bent = budget.tokens, budget.scale, budget.distortion
    return [
        ("min_pixels", f"{budget.min_pixels:,}"),
        ("max_pixels", f"{budget.max_pixels:,}"),
        ("tokens, mean", f"{mean:,.1f}"),
        ("tokens, 5/50/95/100%", " / ".join(f"{value:,.0f}" for value in _of(tokens))),
        ("scaled by, 5/50/95/100%", " / ".join(f"{value:.2f}" for value in _of(scale))),
        ("under floor / over ceiling", f"{budget.scaled_up:,} / {budget.scaled_down:,}"),
        ("aspect bent, 50/95/100%", " / ".join(f"{value:.1%}" for value in _of(bent)[1:])),
        ("height, 5/50%", " / ".join(f"{value:,.0f} px" for value in _of(budget.heights)[:2])),
        ("of the context, 50/95/100%", " / ".join(f"{x:.2%}" for x in _of(budget.context_share)[1:])),
        ("over context / aspect limit", f"{budget.over_context:,} / {budget.rejected:,}"),
    ]


def _of(spread: Spread) -> tuple[float, float, float, float]:
    return spread.low, spread.middle, spread.high, spread.largest


def _print_histogram(console: Console, spread: Spread) -> None:
    """A histogram in half as many bars as the plan has bins, so that it stays on a screen."""
    counts = [sum(spread.counts[start : start + 2]) for start in range(0, len(spread.counts), 2)]
    edges = spread.edges[::2]
    maximum = max(counts)
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        if count:
            full = count / maximum * BAR
            bar = "█" * int(full) + BLOCKS[int(full % 1 * 8)].strip()
            console.print(f"  {low:>7,.0f} to {high:>7,.0f}  {bar or '▏'} {count:,}", markup=False)
