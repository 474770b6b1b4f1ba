"""Examples side by side in one batch, padded to the longest.

B = examples, I = images of all, L = tokens, P = image patches of all, C = numbers of a patch
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from texlens.core.errors import DataError
from texlens.core.labels import IGNORE_INDEX
from texlens.data.sample import RejectedRow
from texlens.inputs.branches.share_prefix import separate
from texlens.inputs.example import Example


@dataclass(frozen=True)
class Collator:
    """Makes the inputs that the models of transformers take.

    Example (pad_token_id 0, image_token_id 9; with `left` the padding comes first):
        input_ids         = [[9, 5, 6], [9, 7, 0]]
        attention_mask    = [[1, 1, 1], [1, 1, 0]]
        labels            = [[-100, 5, 6], [-100, 7, -100]]
        mm_token_type_ids = [[1, 0, 0], [1, 0, 0]]
        pixel_values      = float32 [P, C],  image_grid_thw = [I, 3]

    Branches of an example become rows of their own. Rows that could not be decoded come as `RejectedRow`s; they are
    passed on as a list under `rejected`, a key that is there only when one was. `dummy_example` is used where a batch
    has no other row: it has no label, so it adds nothing to a loss that is summed over labels.
    """

    pad_token_id: int
    image_token_id: int
    left: bool = False
    dummy_example: Example | None = None

    def __call__(self, items: Sequence[Example | RejectedRow]) -> dict[str, Tensor | list[RejectedRow]]:
        """
        Raises:
            DataError: every row was rejected, and there is no stand-in.
        """
        examples = [item for item in items if isinstance(item, Example)]
        rejected = [item for item in items if isinstance(item, RejectedRow)]
        if not examples:
            examples = [self._dummy_example(rejected)]
        examples = [row for example in examples for row in separate(example)]
        batch: dict = self._tokens(examples)
        batch["image_grid_thw"] = torch.tensor([grid for example in examples for grid in example.grids])
        patches = [example.patches for example in examples if example.patches is not None]
        if len(patches) == len(examples):
            batch["pixel_values"] = torch.from_numpy(np.concatenate(patches))
        return batch | ({"rejected": rejected} if rejected else {})

    def _tokens(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        longest = max(len(example) for example in examples)
        ids_BL = torch.full((len(examples), longest), self.pad_token_id)
        labels_BL = torch.full((len(examples), longest), IGNORE_INDEX)
        mask_BL = torch.zeros((len(examples), longest), dtype=torch.long)
        for row, example in enumerate(examples):
            filled = slice(longest - len(example), None) if self.left else slice(len(example))
            ids_BL[row, filled] = torch.tensor(example.input_ids)
            labels_BL[row, filled] = torch.tensor(example.labels)
            mask_BL[row, filled] = 1
        return {
            "input_ids": ids_BL,
            "attention_mask": mask_BL,
            "labels": labels_BL,
            "mm_token_type_ids": ((ids_BL == self.image_token_id) & (mask_BL == 1)).long(),
        }

    def _dummy_example(self, rejected: Sequence[RejectedRow]) -> Example:
        if self.dummy_example is None:
            raise DataError(
                f"{rejected[0] if rejected else 'an empty batch'}; no row of this batch is left, check the data"
            )
        return self.dummy_example
