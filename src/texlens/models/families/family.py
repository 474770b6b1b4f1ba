"""`Family`: everything in which one model family differs from another.

Module names are those of transformers 5 (compared with the real classes in `tests/unit/models/families`). A
checkpoint's own config.json and preprocessor_config.json override the defaults given here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from texlens.inputs.special_tokens import SPECIAL_TOKENS

TextTensor = Callable[[str, Any], tuple[str, Callable[[Any], Any] | None]]
"""From a parameter's name (`model.layers...`) and the text config to the name that the tables of the `gguf` package
know, and a function of the tensor whose result is stored; None for the tensor itself."""


@dataclass(frozen=True)
class VisionAttributes:
    """Names of the attributes of `vision_config` for what only some towers have; None where this one lacks it."""

    full_attention: str | None = None
    """Lists the blocks that attend to the whole image; the others attend within windows."""
    window: str | None = None
    """Side of an attention window, in pixels."""
    deepstack: str | None = None
    """Lists the blocks whose features are added to the first layers of the language model."""
    position_count: str | None = None
    """Entries of a square table of learned positions."""

    def full_attention_blocks(self, vision_config: Any) -> list[int] | None:
        """None where every block attends to the whole image."""
        return None if self.full_attention is None else list(getattr(vision_config, self.full_attention))

    def window_size(self, vision_config: Any) -> int | None:
        return None if self.window is None else getattr(vision_config, self.window)

    def deepstack_blocks(self, vision_config: Any) -> list[int]:
        return [] if self.deepstack is None else list(getattr(vision_config, self.deepstack))

    def position_table_side(self, vision_config: Any) -> int | None:
        return None if self.position_count is None else int(getattr(vision_config, self.position_count) ** 0.5)


@dataclass(frozen=True)
class GgufExport:
    """How llama.cpp names a family, and which settings it reads for this family alone.

    `add_text` and `add_vision` write those settings; they receive a `gguf.GGUFWriter` and the transformers config of
    the whole model.
    """

    architecture: str
    """Member of `gguf.MODEL_ARCH`."""
    projector: str
    """Member of `gguf.VisionProjectorType`."""
    add_text: Callable[[Any, Any], None]
    add_vision: Callable[[Any, Any], None]
    splits_qkv: bool = False
    """Whether the tower's fused q/k/v layers are stored as three tensors."""
    text_tensor: TextTensor | None = None
    """None where names and tensors stay as they are."""
    pre_tokenizer: str = "qwen2"
    """llama.cpp's name for how text is split before byte pairs are merged."""


@dataclass(frozen=True)
class Family:
    """One family. `groups` maps a group's name to the pattern that the full names of its linear layers match.

    Experts of a mixture are not linear layers: `expert_parameters` matches the stacked parameters
    (`[experts, out, in]`), `router` the module that chooses among them; both are None for dense families.
    `max_aspect` is the largest long side / short side that the stock image processor accepts.
    """

    model_type: str
    title: str
    class_name: str
    processor_class: str
    video_processor_class: str
    groups: Mapping[str, str]
    patch_size: int
    min_pixels: int
    max_pixels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rope_sections: tuple[int, int, int]
    """Frequencies that turn with time, row and column where a checkpoint's config does not say."""
    rope_layout: Literal["contiguous", "interleaved"]
    """Whether each axis has a run of frequencies, or the axes take turns."""
    head_norms: bool
    """Whether queries and keys are normalized by head."""
    vision: VisionAttributes
    gguf: GgufExport | None
    """None where llama.cpp does not run the family."""
    merge_size: int = 2
    temporal_patch_size: int = 2
    max_aspect: int = 200
    expert_parameters: str | None = None
    router: str | None = None
    mixture_modules: tuple[str, ...] = ()
    """Last parts of the names of routers and experts; other programs name the modules above them differently."""
    special_tokens: tuple[str, ...] = SPECIAL_TOKENS
    zero_centered_norms: bool = False
    """Whether RMS norms of the language model multiply by 1 + weight."""
    gated_attention: bool = False
    """Whether `q_proj` gives each head a gate of its output beside the query."""
    thinks: bool = False
    """Whether the chat template opens a block for thinking unless `enable_thinking` is false."""
    uncovered: str | None = None
    """Pattern of linear layers that belong to no group on purpose."""
    kept_in_16_bits: str | None = None
    """Pattern of linear layers that exported checkpoints don't quantize: small ones whose errors add up."""
    nf4_warning: str | None = None
    """Why 4-bit bases are advised against, for a note; None where they are not."""
    min_transformers: str = "5.0"
    """The first version of transformers that has the family."""

    @property
    def text_model_type(self) -> str:
        """`model_type` of the language model's own config."""
        return f"{self.model_type}_text"

    @property
    def option(self) -> str:
        """How the family is written on the command line: `qwen2.5-vl` for `qwen2_5_vl`."""
        return re.sub(r"(?<=\d)_(?=\d)", ".", self.model_type).replace("_", "-")

    def group_of(self, module_name: str) -> str | None:
        """The group of a linear layer, or None (the head, say, or a module of another library)."""
        return next((group for group, pattern in self.groups.items() if re.fullmatch(pattern, module_name)), None)

    def is_expert(self, parameter_name: str) -> bool:
        return self.expert_parameters is not None and bool(re.fullmatch(self.expert_parameters, parameter_name))
