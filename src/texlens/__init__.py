"""TexLens: fine-tune Qwen vision-language models to read images into text, and prove what the tuning did."""

__version__ = "0.2.0"
