"""Train rows as prompts, beside which an objective has answers of its own."""

from torch.utils.data import Dataset

from texlens.data.sample import RejectedRow
from texlens.inputs.branches.share_prefix import separate
from texlens.inputs.chat_template import answer_ids
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example
from texlens.training.objectives.answer_packs import without_answer


class ExampleRows(Dataset):
    """Base of data sets with one item a row, about the row's own question; its `more_questions` are left out."""

    def __init__(self, examples: ExampleDataset):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def set_epoch(self, epoch: int) -> None:
        self.examples.set_epoch(epoch)

    def prompt(self, index: int) -> Example | RejectedRow:
        """Image and question of a row, without its text and without labels.

        Raises:
            DataError: the row fails and the data set is strict.
        """
        example = self.examples[index]
        if isinstance(example, RejectedRow):
            return example
        text = answer_ids(self.examples.tokenizer, self.examples.rows[index].text)
        return without_answer(separate(example)[0], len(text))
