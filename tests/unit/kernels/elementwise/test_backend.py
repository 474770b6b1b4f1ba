"""Extra columns behind the rows."""

import importlib.util
import os

import pytest
import torch

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
can_triton = importlib.util.find_spec("triton") and (torch.cuda.is_available() or interpreted)
FORMS = [
    pytest.param("cpu", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's numbers have 16 bits")),
    pytest.param("triton", marks=pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")),
]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if torch.cuda.is_available() else torch.float32
TOKENS, WIDTH, MLP_WIDTH, EPS = 5, 40, 24, 1e-6


@pytest.fixture(params=FORMS)
def kernels(request):
    return importlib.import_module(f"texlens.kernels.elementwise.{request.param}")


def random_tensor(*shape: int, seed: int = 0, dtype: torch.dtype = DTYPE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)


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
