"""Rows with a good and a bad answer, from the columns `rejected` and `desirable`.

image, text (the good answer), rejected (the bad one)           dpo, orpo, kto
image, text, desirable (whether the text is a good answer)      kto
"""

from texlens.core.errors import DataError
from texlens.data.load import Rows
from texlens.data.sample import RejectedRow, Sample
from texlens.inputs.chat_template import answer_ids
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import error_context
from texlens.training.objectives.answer_packs import AnswerGroup
from texlens.training.objectives.example_rows import ExampleRows

REJECTED, DESIRABLE = "rejected", "desirable"
LOOKED_AT = 100


class PreferenceRows(ExampleRows):
    """One `AnswerGroup` a row: the chosen answer, then the rejected one; or a `RejectedRow`.

    Args:
        unpaired: a row may have one answer alone; each answer's value `desirable` is 1 or 0.
    """

    def __init__(self, examples: ExampleDataset, *, unpaired: bool = False):
        super().__init__(examples)
        self._unpaired = unpaired

    def __getitem__(self, index: int) -> AnswerGroup | RejectedRow:
        """
        Raises:
            DataError: the row fails and the data set is strict.
        """
        sample, prompt = self.examples.rows[index], self.prompt(index)
        if isinstance(prompt, RejectedRow):
            return prompt
        try:
            with error_context(sample):
                answers, desirable = self._answers(sample)
        except DataError as error:
            if self.examples.strict:
                raise
            return RejectedRow.from_error(sample, error, "no preference")
        return AnswerGroup(prompt, answers, {DESIRABLE: desirable} if self._unpaired else {})

    def _answers(self, sample: Sample) -> tuple[tuple[tuple[int, ...], ...], tuple[float, ...]]:
        text = tuple(answer_ids(self.examples.tokenizer, sample.text))
        other = sample.extra.get(REJECTED)
        if other is None and self._unpaired:
            return (text,), (float(_is_desirable(sample)),)
        if not isinstance(other, str):
            raise DataError(f"no text in column '{REJECTED}'; make pairs with `texlens data preferences`")
        rejected = tuple(answer_ids(self.examples.tokenizer, other))
        if rejected == text:
            raise DataError("text and rejected are the same, so neither is better; remove the row")
        return (text, rejected), (1.0, 0.0)


def _is_desirable(sample: Sample) -> bool:
    value = sample.extra.get(DESIRABLE)
    if value in (True, False):
        return bool(value)
    raise DataError(f"neither a text in column '{REJECTED}' nor true or false in '{DESIRABLE}'; fill one of them")


def check_preferences(rows: Rows, *, unpaired: bool) -> None:
    """
    Raises:
        DataError: none of the first rows has the columns that preferences need.
    """
    first = [rows[index].extra for index in range(min(LOOKED_AT, len(rows)))]
    columns = (REJECTED, DESIRABLE) if unpaired else (REJECTED,)
    if not any(name in extra for extra in first for name in columns):
        names = " or ".join(f"'{name}'" for name in columns)
        raise DataError(
            f"{rows.where}: no row has a column {names}; `texlens data preferences RUN` makes pairs, or set "
            "train.objective: sft"
        )
