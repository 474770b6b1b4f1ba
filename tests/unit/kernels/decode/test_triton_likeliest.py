"""The likeliest token compared with the reference, in Triton's interpreter or on a GPU."""

import pytest
import torch

from tests.unit.kernels.decode.test_triton import CAN_RUN, assert_close, drawn
from texlens.kernels.decode import reference

pytestmark = pytest.mark.skipif(not CAN_RUN, reason="needs a GPU, or Triton's interpreter (TRITON_INTERPRET=1)")

if CAN_RUN:
    from texlens.kernels.decode import triton_likeliest as kernels


@pytest.mark.parametrize(("rows", "width"), [(1, 300), (3, 9000), (40, 700)])
def test_likeliest_token_is_the_first_of_equals(rows, width):
    logits = drawn(rows, width)
    logits[:, width // 3] = logits[:, width - 7] = 9.0
    for ours, expected in zip(kernels.likeliest(logits), reference.likeliest(logits), strict=True):
        assert_close(ours, expected)


def test_a_row_with_nan_has_no_log_probability():
    logits = drawn(3, 500)
    logits[1, 30] = torch.nan
    log_probabilities = kernels.likeliest(logits)[1]
    assert log_probabilities.isnan().tolist() == [False, True, False]
