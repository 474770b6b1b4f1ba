"""`data:` which rows, how they are split, and the prompt."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from texlens.config.augment import AnyAugment, augment_named
from texlens.config.base import Settings

Share = Annotated[float, Field(gt=0, lt=1)]


class SplitSettings(Settings):
    """Names of the data set's own splits; a number takes that share of the train rows, divided by label."""

    train: str = "train"
    validation: Share | str | None = "validation"
    test: Share | str | None = "test"


class CheckSettings(Settings):
    images: Literal["auto", "headers", "pixels"] = "auto"
    """Before training, read every image's header, or decode every image; auto decodes up to 20,000 rows."""
    leaks: Literal["warn", "refuse"] = "warn"
    """What to do where labels of validation or test are also in train: warn, or stop."""


class DataSettings(Settings):
    path: str
    """A folder, a file, a hub id such as linxy/LaTeX_OCR, `modelscope:owner/name`, or `demo`."""
    subset: str | None = None
    """The data set's configuration, such as `small`."""
    format: str = "auto"
    """How rows are read; auto looks at the files."""
    splits: SplitSettings = SplitSettings()
    edits: str | None = None
    """A file of corrections, exclusions and marks of rows, as the data page writes it; `edits.jsonl@17` is its version
    17. The data set's own files stay as they are."""
    fraction: float = Field(1.0, gt=0, le=1)
    """Share of the train rows to use, drawn by `seed`."""
    limit: int | None = Field(None, ge=1)
    """At most this many train rows, drawn by `seed`."""
    seed: int = 0
    prompt: str = "Transcribe the LaTeX of this image."
    """The question about each image; a row's own prompt replaces it."""
    system_prompt: str | None = None
    """System prompt; default: what the checkpoint's chat template adds."""
    max_tokens: int | None = Field(None, ge=1)
    """Reject train and validation rows whose image, prompt and answer have more tokens together; nothing is cut."""
    strict: bool = False
    """Stop at the first row that can't be used, instead of going on without it."""
    allow_outside: bool = False
    """Let data files name images outside their own folder; a name that is no file there may be relative to a folder
    above, where the set was unpacked."""
    checks: CheckSettings = CheckSettings()
    """What is looked at before a training."""
    augment: AnyAugment | None = Field(None, discriminator="kind")
    """How train images are changed in each epoch: none, formula, photo, or a mapping of strengths with its kind."""

    @field_validator("augment", mode="before")
    @classmethod
    def _augment_is_named_or_given(cls, value: Any) -> Any:
        return augment_named(value)
