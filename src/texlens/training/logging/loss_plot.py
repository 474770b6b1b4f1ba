"""The loss plot: training and validation loss over steps, as a PNG."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


def plot_loss(history: list[dict], path: Path) -> None:
    """Writes the plot of `history` (the lines of metrics.jsonl); without measurements it is empty."""
    FigureCanvasAgg(_figure(history)).print_png(str(path))


def loss_image(history: list[dict]) -> Image.Image:
    canvas = FigureCanvasAgg(_figure(history))
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _figure(history: list[dict]) -> Figure:
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for name, label, style in (("loss", "training", "-"), ("eval_loss", "validation", "o-")):
        points = [(row["step"], row[name]) for row in history if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label, markersize=4, linewidth=1.5)
    axes.set(xlabel="step", ylabel="loss, nats per token")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.has_data():
        axes.legend(frameon=False)
    return figure
