"""From the `data:` settings to rows: each role's split, shares of train divided by label, checks and their account."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress
from transformers import PreTrainedTokenizerBase

from texlens.config.data import DataSettings
from texlens.core.errors import ConfigError, DataError
from texlens.core.language import translated
from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows, count_shared_labels, load_split, split_by_label
from texlens.data.sample import RejectedRow
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.length_limit import reject_long_rows
from texlens.inputs.row_check import Checked, check_rows

if TYPE_CHECKING:
    from texlens.inputs.image_preparation import Preparation

ROLES = ("train", "validation", "test")
MAX_DECODED_ROWS = 20_000
"""`check: auto` decodes the images of as many rows before training, and reads only headers of more."""
MAX_SHOWN = 10


@dataclass(frozen=True)
class Splits:
    """The rows of a training run, checked. `validation` is None where the settings want none."""

    train: Rows
    validation: Rows | None
    checks: dict[str, Checked]
    shared_with_train: dict[str, int]

    def statistics(self) -> dict:
        """For data.json: counts, rejected rows and fingerprint of each role, and rows whose label is also in train."""
        return {
            "splits": {role: checked.statistics() for role, checked in self.checks.items()},
            "labels_shared_with_train": self.shared_with_train,
        }


def read_split(settings: DataSettings, role: str, *, limit: int | None = None, seed: int = 0) -> Rows:
    """The rows of `train`, `validation` or `test`, unchecked.

    A role that is a number is that share of the train split, divided from it by label with `data.seed`. What is left
    is train, of which `data.fraction` and `data.limit` are then drawn. Of the other roles `limit` rows are drawn by
    `seed`.

    Raises:
        ConfigError: the role is switched off, or an unknown name is asked for.
        DataError: the data set can't be read, or lacks the split.
    """
    split = getattr(settings.splits, role, None)
    if role not in ROLES or split is None:
        raise ConfigError(f"data.splits.{role}: no such split in the settings; set it to a split's name or a share")
    if role == "train":
        return _train(settings).draw(fraction=settings.fraction, limit=settings.limit, seed=settings.seed)
    rows = _load(settings, split) if isinstance(split, str) else _split_by_share(settings)[role]
    return rows.draw(limit=limit, seed=seed)


def build_splits(
    settings: DataSettings,
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    *,
    console: Console,
    preparation: "Preparation | None" = None,
) -> Splits:
    """Train and validation rows, checked, with rejected rows named on the console; their images prepared, where asked.

    Raises:
        ConfigError, DataError: as `read_split`; no train row is left; with `data.strict`, a row is rejected; with
            `data.checks.leaks: refuse`, a label of validation or test is in train.
    """
    checks = {
        role: _checked(
            settings, prepared_rows(read_split(settings, role), preparation), role, tokenizer, geometry, console
        )
        for role in ("train", "validation")
        if getattr(settings.splits, role) is not None
    }
    train = checks["train"].usable
    if not len(train):
        first = next(iter(checks["train"].rejected), "it is empty")
        raise DataError(f"{train.where}: no train row can be used ({first}); check data.path and data.splits.train")
    validation = checks["validation"].usable if "validation" in checks else None
    others = {"validation": validation, "test": _named_test(settings)}
    shared = {role: _shared(settings, train, rows, role, console) for role, rows in others.items() if rows}
    return Splits(train, validation, checks, shared)


def prepared_rows(rows: Rows, preparation: "Preparation | None") -> Rows:
    """The rows with their images prepared; the same rows without a preparation."""
    if preparation is None:
        return rows
    from texlens.inputs.image_preparation import prepared_file

    return rows.with_images(lambda image: prepared_file(image, preparation)[0])


def _named_test(settings: DataSettings) -> Rows | None:
    """The rows of a test split that the data set has; a share of train can't leak, and training needs no test."""
    split = settings.splits.test
    if not isinstance(split, str):
        return None
    try:
        return _load(settings, split)
    except DataError:
        return None


def _train(settings: DataSettings) -> Rows:
    shares = _shares(settings)
    return _split_by_share(settings)["rest"] if shares else _load(settings, settings.splits.train)


def _shares(settings: DataSettings) -> dict[str, float]:
    roles = (("validation", settings.splits.validation), ("test", settings.splits.test))
    return {role: split for role, split in roles if isinstance(split, float)}


def _split_by_share(settings: DataSettings) -> dict[str, Rows]:
    shares = _shares(settings)
    if sum(shares.values()) >= 1:
        raise ConfigError(f"data.splits: shares of {sum(shares.values()):g} leave no train row; make them smaller")
    return split_by_label(_load(settings, settings.splits.train), shares, settings.seed)


def _load(settings: DataSettings, split: str) -> Rows:
    return load_split(
        settings.path,
        split=split,
        subset=settings.subset,
        format=settings.format,
        allow_outside=settings.allow_outside,
        edits=settings.edits,
    )


def _checked(
    settings: DataSettings,
    rows: Rows,
    role: str,
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    console: Console,
) -> Checked:
    decode = settings.checks.images == "pixels" or (settings.checks.images == "auto" and len(rows) <= MAX_DECODED_ROWS)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(translated(f"checking {role} {'images' if decode else 'headers'}"), total=len(rows))
        checked = check_rows(
            rows,
            geometry,
            tokenizer,
            style=PromptStyle(settings.prompt, settings.system_prompt),
            decode=decode,
            strict=settings.strict,
            on_progress=lambda done, _: bar.update(task, completed=done),
        )
    if settings.max_tokens is not None:
        checked = reject_long_rows(
            checked,
            settings.max_tokens,
            tokenizer,
            geometry,
            prompt=settings.prompt,
            system_prompt=settings.system_prompt,
        )
        if settings.strict and checked.rejected:
            raise DataError(f"{checked.rejected[0]} (data.strict is on)")
    _print_rejected(checked.rejected, role, rows.total, console)
    if black := checked.transparency["on black"]:
        console.print(
            f"{role}: {black:,} transparent images are put on black, where white hides the ink", style="yellow"
        )
    return checked


def _print_rejected(rejected: Sequence[RejectedRow], role: str, total: int, console: Console) -> None:
    if not rejected:
        return
    console.print(f"{role}: {len(rejected):,} of {total:,} rows can't be used", style="yellow", markup=False)
    for rejected_row in rejected[:MAX_SHOWN]:
        console.print(f"  {rejected_row}", style="yellow", markup=False)
    if len(rejected) > MAX_SHOWN:
        console.print(f"  and {len(rejected) - MAX_SHOWN:,} more", style="yellow", markup=False)


def _shared(settings: DataSettings, train: Rows, rows: Rows, role: str, console: Console) -> int:
    """Rows of a role whose label is also in train: the score on them measures memory, not reading."""
    shared, _ = count_shared_labels(rows, train)
    if shared:
        message = (
            f"{role}: the labels of {shared:,} of {len(rows):,} rows are also in train; "
            f"data.splits.{role}: 0.05 would divide train by label instead"
        )
        if settings.checks.leaks == "refuse":
            raise DataError(f"{message}, `texlens data validate` names the rows (data.checks.leaks is refuse)")
        console.print(message, style="yellow", markup=False)
    return shared
