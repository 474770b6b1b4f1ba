"""Extra columns behind the rows."""

import torch

from tests.unit.kernels.elementwise.forms import EPS, MLP_WIDTH, TOKENS, WIDTH, random_tensor


def test_extra_columns_change_nothing(kernels):
    x, weight, grad, residual = (
        random_tensor(TOKENS, WIDTH),
        random_tensor(WIDTH),
        random_tensor(TOKENS, WIDTH, seed=1),
        random_tensor(TOKENS, WIDTH + 8),
    )
    residual = residual[:, :WIDTH]
    gate_up, along = random_tensor(TOKENS, 2 * MLP_WIDTH), random_tensor(TOKENS, MLP_WIDTH, seed=1)
    results = [
        lambda extra_columns: kernels.rms_norm(x, weight, EPS, extra_columns),
        lambda extra_columns: kernels.add_rms_norm(x, grad.clone(), weight, EPS, extra_columns)[1],
        lambda extra_columns: kernels.rms_norm_backward(grad, x, weight, EPS, residual, extra_columns)[0],
        lambda extra_columns: kernels.swiglu(gate_up, extra_columns),
        lambda extra_columns: kernels.swiglu_backward(along, gate_up, extra_columns)[0],
    ]
    for result in results:
        augmented, bare = result(8), result(0)
        assert augmented.shape[1] == bare.shape[1] + 8
        assert torch.equal(augmented[:, : bare.shape[1]], bare)
