"""The name of the argument with which a model of transformers receives its key/value cache."""

import inspect
from typing import Any

NEW, OLD = "cache", "past_key_values"


def cache_argument(model: Any) -> str:
    """`cache` since transformers 5.24, which deprecates `past_key_values`; the latter before.

    Args:
        model: of transformers, or a `PeftModel` around one.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return NEW if NEW in inspect.signature(type(inner).forward).parameters else OLD
