"""The tokens of Qwen's chat templates that prompts are built with."""

IMAGE_TOKEN = "<|image_pad|>"
"""Repeated once for each token of an image."""
TURN_END_TOKEN = "<|im_end|>"
"""Ends every turn, and so every answer."""
