"""What passes between the float8 products of a vision block."""

import math

from jaxtyping import Float
from torch import Tensor

_TANH = 2 * math.sqrt(2 / math.pi)
GELUS = {"gelu_pytorch_tanh": (_TANH, 0.044715 * _TANH), "quick_gelu": (1.702, 0.0)}
"""Activations of the form x sigmoid(a x + b x^3), as a and b. Hendrycks and Gimpel 2016, arXiv:1606.08415."""

Quantized = tuple[Float[Tensor, "P D"], Float[Tensor, "P 1"]]
"""Rows in float8 and their scales in float32."""
