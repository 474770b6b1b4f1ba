"""`gguf-q5_k_m`: 5.5 bits a weight, 6.6 in half of the value and down projections."""

from texlens.exporting.formats.gguf.gguf_format import GgufFormat
from texlens.exporting.formats.protocol import Tolerance

GGUF_Q5_K_M = GgufFormat("gguf-q5_k_m", "Q5_K_M", Tolerance(kl_nats=0.1, edit_similarity=0.03))
