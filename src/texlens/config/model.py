"""`model:` which checkpoint, from where, and how it sees images."""

from typing import Literal

from pydantic import Field, model_validator

from texlens.config.base import Settings


class ModelSettings(Settings):
    path: str
    """A folder, a hub id such as Qwen/Qwen3-VL-4B-Instruct, or `nano` for the model that ships with TexLens."""
    source: Literal["auto", "huggingface", "modelscope"] = "auto"
    """Where a hub id is fetched from; auto is Hugging Face unless the id begins with `modelscope:`."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """auto is bfloat16 on a GPU and float32 on a CPU; float16 is for GPUs without bfloat16 (T4, V100)."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    """Attention implementation; auto picks one and the run's summary names it."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """auto is the GPU where there is one."""
    min_pixels: int | None = Field(None, ge=1, le=120_000_000)
    """Images smaller than this (width x height) are scaled up; default: the checkpoint's own."""
    max_pixels: int | None = Field(None, ge=1)
    """Images larger than this are scaled down; default: the checkpoint's own."""
    resize: Literal["pil", "torchvision"] = "pil"
    """How images are resized; choose that of the program that will serve the model. transformers, vLLM and SGLang use
    torchvision where it is installed. The two differ by up to 21 of 255 levels."""
    image_preparation: bool = False
    """Prepare the images of all rows, in training and whenever the run reads: dark ink on white paper, even light,
    narrow margins, and glyph heights as the base's texlens.json says."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint. Off unless you know its authors."""

    @model_validator(mode="after")
    def _budget_is_a_range(self):
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is over max_pixels {self.max_pixels}; swap them")
        return self
