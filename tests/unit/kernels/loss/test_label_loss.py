import torch

from texlens.kernels.loss.label_loss import count_labels, label_loss

LOGITS = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([[-100, -100, 3, 4, -100], [-100, 1, 2, 3, 5]])


def test_it_is_the_mean_over_label_tokens_given_the_tokens_before():
    chosen = [(0, 1, 3), (0, 2, 4), (1, 0, 1), (1, 1, 2), (1, 2, 3), (1, 3, 5)]
    expected = -sum(LOGITS[row, token].log_softmax(-1)[label] for row, token, label in chosen) / 6
    assert torch.allclose(label_loss(LOGITS, LABELS), expected)
    assert count_labels(LABELS) == 6


def test_batches_that_share_a_count_sum_to_the_loss_of_the_whole():
    parts = sum(label_loss(LOGITS[row : row + 1], LABELS[row : row + 1], 6) for row in range(2))
    assert torch.allclose(parts, label_loss(LOGITS, LABELS))


def test_padding_changes_nothing():
    padded_logits = torch.cat([LOGITS, torch.randn(2, 3, 7)], 1)
    padded_labels = torch.cat([LABELS, torch.full((2, 3), -100)], 1)
    assert torch.allclose(label_loss(padded_logits, padded_labels), label_loss(LOGITS, LABELS))
