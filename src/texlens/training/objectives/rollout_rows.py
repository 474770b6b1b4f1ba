"""Train rows as prompts, to which the model draws its own answers."""

from dataclasses import dataclass

from texlens.data.sample import RejectedRow
from texlens.inputs.example import Example
from texlens.training.objectives.example_rows import ExampleRows


@dataclass(frozen=True)
class RolloutPrompt:
    """Image and question of a row, and the row's number, under which its sample is found."""

    example: Example
    row: int


class RolloutRows(ExampleRows):
    """One `RolloutPrompt` a row, or a `RejectedRow`."""

    def __getitem__(self, index: int) -> RolloutPrompt | RejectedRow:
        """
        Raises:
            DataError: the row fails and the data set is strict.
        """
        prompt = self.prompt(index)
        return prompt if isinstance(prompt, RejectedRow) else RolloutPrompt(prompt, index)
