"""The rows of an optimiser step, divided into packs of about equal length."""

from collections.abc import Sequence
from dataclasses import dataclass

from texlens.core.errors import DataError
from texlens.data.example import Example
from texlens.data.pack import PackLayout, lay
from texlens.data.sample import Refusal


@dataclass(frozen=True)
class PackCollator:
    """Makes of an optimiser step's rows a batch of packs: `{"packs": [...], "labels": count, "refused": [...]}`.

    The rows of a step are those of the plain engine, so that both walk the same way; only how many forward passes they
    take differs. `labels` is a plain number, so that nobody has to ask a GPU for it. `stand_in` is laid where every
    row of a step was refused; it carries no label.
    """

    layout: PackLayout
    budget: int
    stand_in: Example | None = None

    def __call__(self, items: Sequence[Example | Refusal]) -> dict:
        """
        Raises:
            DataError: every row was refused, and there is no stand-in.
        """
        examples = [item for item in items if isinstance(item, Example)]
        refused = [item for item in items if isinstance(item, Refusal)]
        if not examples:
            if self.stand_in is None:
                raise DataError(f"{refused[0] if refused else 'an empty step'}; no row of this step is left")
            examples = [self.stand_in]
        bins = divide([len(example) for example in examples], self.budget)
        packs = [lay([examples[index] for index in indices], self.layout) for indices in bins]
        batch = {"packs": packs, "label_count": sum(len(pack["labels"]) for pack in packs)}
        return batch | ({"refused": refused} if refused else {})


def divide(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Numbers of the rows of each pack: as few packs as `budget` tokens each allow, and these about equally long.

    Longest first, each into the emptiest pack that holds it; a row longer than the budget is a pack of its own. Within
    a pack rows keep their order.

    Example:
        ([5, 3, 3, 2], 8) -> [[0, 1], [2, 3]] and ([9, 1], 8) -> [[0], [1]]
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    long = [[index] for index in order if lengths[index] > budget]
    rest = order[len(long) :]
    count = -(-sum(lengths[index] for index in rest) // budget)
    while True:
        packs, filled = [[] for _ in range(count)], [0] * count
        for index in rest:
            emptiest = min(range(count), key=filled.__getitem__)
            if filled[emptiest] + lengths[index] > budget:
                break
            packs[emptiest].append(index)
            filled[emptiest] += lengths[index]
        else:
            return [sorted(pack) for pack in (*long, *packs)]
        count += 1
