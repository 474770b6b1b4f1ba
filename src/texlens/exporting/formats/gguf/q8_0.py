"""`gguf`: 8 bits with a scale for each 32 weights."""

from texlens.exporting.formats.gguf.gguf_format import GgufFormat
from texlens.exporting.formats.protocol import Tolerance

GGUF = GgufFormat("gguf", "Q8_0", Tolerance(kl_nats=0.05, edit_similarity=0.02))
