"""What a bare checkpoint is asked, and how long a reading may become by default. No torch at import."""

from collections.abc import Mapping
from typing import Any

from texlens.config.data import DataSettings

DEFAULT_PROMPT: str = DataSettings.model_fields["prompt"].default
MAX_NEW_TOKENS = 8192
"""A reading's limit where the model could hold more: a formula or page has fewer, and the cache stays small."""


def default_max_new_tokens(config: Mapping[str, Any]) -> int:
    """What the model can hold (`max_position_embeddings` of its config.json), at most `MAX_NEW_TOKENS`."""
    text = config.get("text_config") or config
    positions = text.get("max_position_embeddings")
    return min(int(positions), MAX_NEW_TOKENS) if isinstance(positions, int) and positions > 0 else MAX_NEW_TOKENS
