"""`gguf-f16`: the language model in 16 bits, for `llama-quantize` or as a reference of the smaller sizes."""

from texlens.exporting.formats.gguf.gguf_format import GgufFormat
from texlens.exporting.formats.protocol import Tolerance

GGUF_F16 = GgufFormat("gguf-f16", "F16", Tolerance(kl_nats=0.01, edit_similarity=0.01))
