"""Train rows as prompts, to which the model draws its own answers."""

from dataclasses import dataclass

from torch.utils.data import Dataset

from texlens.data.sample import RejectedRow
from texlens.inputs.chat_template import answer_ids
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example
from texlens.training.objectives.answer_packs import without_answer


@dataclass(frozen=True)
class RolloutPrompt:
    """Image and question of a row, and the row's number, under which its sample is found."""

    example: Example
    row: int


class RolloutRows(Dataset):
    """One `RolloutPrompt` a row, or a `RejectedRow`."""

    def __init__(self, examples: ExampleDataset):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def set_epoch(self, epoch: int) -> None:
        self.examples.set_epoch(epoch)

    def __getitem__(self, index: int) -> RolloutPrompt | RejectedRow:
        """
        Raises:
            DataError: the row fails and the data set is strict.
        """
        example = self.examples[index]
        if isinstance(example, RejectedRow):
            return example
        text = self.examples.rows[index].text
        return RolloutPrompt(without_answer(example, len(answer_ids(self.examples.tokenizer, text))), index)
