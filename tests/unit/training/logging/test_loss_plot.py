"""The loss plot."""

from PIL import Image

from texlens.training.logging.loss_plot import loss_image, plot_loss

HISTORY = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": 2, "eval_loss": 1.5}]


def test_the_plot_has_ink_of_both_curves(tmp_path):
    plot_loss(HISTORY, tmp_path / "loss.png")
    written = Image.open(tmp_path / "loss.png")
    assert written.size == (840, 480)
    colors = {color for _, color in loss_image(HISTORY).getcolors(1 << 20)}
    assert {(31, 119, 180), (255, 127, 14)} <= colors
    assert (31, 119, 180) not in {color for _, color in loss_image([]).getcolors(1 << 20)}
