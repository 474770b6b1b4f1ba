"""`train.objective:` what is optimized; each kind has the options that it uses, and no other."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from texlens.config.base import Settings

TOKEN_CLIP, SEQUENCE_CLIP = (0.2, 0.28), (3e-4, 4e-4)
"""Bounds below and above 1 of the ratio where none are set: DAPO's (arXiv:2503.14476) and GSPO's (arXiv:2507.18071)."""


class SftObjective(Settings):
    """Supervised fine-tuning: the likelihood of the rows' texts."""

    kind: Literal["sft"] = "sft"


class DpoObjective(Settings):
    """Direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290) on rows with a column `rejected`."""

    kind: Literal["dpo"]
    beta: float = Field(0.1, gt=0)
    """How strongly the trained model is held to the model at the start; a larger one allows less change."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of pairs that are assumed to be the wrong way round (Mitchell 2023)."""
    sft_weight: float = Field(0.0, ge=0)
    """Weight of the chosen text's mean negative log-likelihood, added to the loss."""


class KtoObjective(Settings):
    """Kahneman-Tversky optimization (Ethayarajh et al. 2024, arXiv:2402.01306): answers that are good or bad alone."""

    kind: Literal["kto"]
    beta: float = Field(0.1, gt=0)
    """As of dpo."""
    desirable_weight: float = Field(1.0, ge=0)
    """Weight of good answers: a row's text, unless its column `desirable` is false."""
    undesirable_weight: float = Field(1.0, ge=0)
    """Weight of bad answers: a row's column `rejected`, or its text where `desirable` is false."""


class OrpoObjective(Settings):
    """Odds ratio preference optimization (Hong et al. 2024, arXiv:2403.07691): likelihood and preference, no reference
    model."""

    kind: Literal["orpo"]
    beta: float = Field(0.1, gt=0)
    """Weight of the odds ratio beside the chosen text's likelihood; lambda in the paper."""


class GrpoObjective(Settings):
    """Group relative policy optimization (Shao et al. 2024, arXiv:2402.03300): answers that the model draws itself,
    rewarded against the row's text."""

    kind: Literal["grpo"]
    answers: int = Field(8, ge=2)
    """Answers drawn to each image."""
    max_new_tokens: int = Field(256, ge=1)
    """An answer is cut here."""
    temperature: float = Field(1.0, gt=0)
    """Of the draws, and of the log-probabilities that are trained."""
    rewards: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        {"exact": 1.0, "cdm_f1": 1.0}, min_length=1
    )
    """Weights by name: exact, cdm_f1, edit_similarity, valid, length, repetition, error_preservation, or those that an
    installed package registers."""
    watch: tuple[str, ...] = ("exact", "cdm_f1", "edit_similarity", "valid")
    """Scores that are logged beside the reward; those that are not rewarded show what the reward misses."""
    advantage: Literal["group", "batch", "mean"] = "group"
    """The reward minus the group's mean: over the group's deviation, over that of all answers of the step, or as it
    is (Liu et al. 2025, arXiv:2503.20783)."""
    ratio: Literal["token", "sequence"] = "token"
    """What is clipped: each token's ratio of new to old probability, or the geometric mean over the answer (GSPO)."""
    clip_low: float | None = Field(None, gt=0, lt=1)
    """The ratio counts as far as 1 - clip_low; default 0.2, for sequence 0.0003."""
    clip_high: float | None = Field(None, gt=0)
    """And as far as 1 + clip_high, which may be larger (DAPO's clip-higher); default 0.28, for sequence 0.0004."""
    normalize: Literal["auto", "tokens", "answers", "length"] = "auto"
    """A mean over all tokens of the step; over answers, of each one's mean over tokens; or over answers, of sums over
    max_new_tokens. auto is answers where the ratio is of sequences, else tokens."""
    kl: float = Field(0.0, ge=0)
    """Weight of the divergence from the model at the start; 0 needs no reference."""
    updates: int = Field(1, ge=1)
    """Optimizer updates per step, each on its share of the step's groups."""
    skip_flat: bool = True
    """Leave out groups whose answers all have the same reward; they have no advantage and only thin out the mean."""
    reward_workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that compute rewards; auto is up to 8 beside a GPU and none without."""

    @property
    def clip(self) -> tuple[float, float]:
        """How far below and above 1 the ratio counts."""
        low, high = SEQUENCE_CLIP if self.ratio == "sequence" else TOKEN_CLIP
        return self.clip_low or low, self.clip_high or high

    @property
    def normalization(self) -> str:
        """`normalize` with auto decided."""
        automatic = "answers" if self.ratio == "sequence" else "tokens"
        return automatic if self.normalize == "auto" else self.normalize

    @model_validator(mode="after")
    def _every_option_has_an_effect(self):
        needing = {"clip_low": self.clip_low, "clip_high": self.clip_high, "ratio": self.ratio == "sequence"}
        for name, is_set in needing.items():
            if is_set and self.updates == 1:
                raise ValueError(
                    f"{name} has no effect with updates: 1, where new and old probabilities are equal; "
                    "set updates: 4, or remove it"
                )
        return self

    @model_validator(mode="after")
    def _rewards_are_no_code(self):
        for name in (*self.rewards, *self.watch):
            if ":" in name:
                raise ValueError(
                    f"rewards: {name!r} names code, which runs from no run file or run folder; give it on this call's "
                    f"command line: --reward {name}"
                )
        return self


Objective = Annotated[
    SftObjective | DpoObjective | KtoObjective | OrpoObjective | GrpoObjective, Field(discriminator="kind")
]
PREFERENCES = (DpoObjective, KtoObjective, OrpoObjective)
NEEDS_START = (DpoObjective, KtoObjective, GrpoObjective)
"""Those that compare with the model as it was before training."""


def objective_named(value: Any) -> Any:
    """`train.objective: grpo` is `{kind: grpo}`; options without a kind are an error that says so.

    Raises:
        ValueError: options without a kind.
    """
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, Mapping) and "kind" not in value:
        raise ValueError("options need their objective: write kind: dpo, kto, orpo or grpo beside them")
    return value
