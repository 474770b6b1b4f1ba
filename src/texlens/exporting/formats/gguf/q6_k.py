"""`gguf-q6_k`: 6.6 bits a weight."""

from texlens.exporting.formats.gguf.gguf_format import GgufFormat
from texlens.exporting.formats.protocol import Tolerance

GGUF_Q6_K = GgufFormat("gguf-q6_k", "Q6_K", Tolerance(kl_nats=0.05, edit_similarity=0.02))
