"""The rows of an optimizer step, divided into packs of about equal length, and among processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from texlens.core.errors import DataError
from texlens.data.sample import RejectedRow
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example
from texlens.inputs.pack import PackSpec, build_pack


@dataclass(frozen=True)
class PackCollator:
    """Makes of an optimizer step's rows a batch of packs: `{"packs": [...], "labels": count, "rejected": [...]}`.

    The rows of a step are those of the plain engine, so that both walk the same way; only how many forward passes they
    take differs. `labels` is a plain number, so that no device sync is needed. `dummy_example` is packed
    where every row of a step was rejected; it has no label.
    """

    spec: PackSpec
    budget: int
    dummy_example: Example | None = None

    def __call__(self, items: Sequence[Example | RejectedRow]) -> dict:
        """
        Raises:
            DataError: every row was rejected, and there is no stand-in.
        """
        examples = [item for item in items if isinstance(item, Example)]
        rejected = [item for item in items if isinstance(item, RejectedRow)]
        if not examples:
            if self.dummy_example is None:
                raise DataError(f"{rejected[0] if rejected else 'an empty step'}; no row of this step is left")
            examples = [self.dummy_example]
        bins = bin_pack([len(example) for example in examples], self.budget)
        return _batch([[examples[index] for index in indices] for indices in bins], rejected, self.spec)


@dataclass(frozen=True)
class ShardedCollator:
    """Makes the same batch of packs that were dealt beforehand; there may be none."""

    spec: PackSpec

    def __call__(self, packs: Sequence[Sequence[Example | RejectedRow]]) -> dict:
        packs_of_examples = [[item for item in pack if isinstance(item, Example)] for pack in packs]
        rejected = [item for pack in packs for item in pack if isinstance(item, RejectedRow)]
        return _batch([pack for pack in packs_of_examples if pack], rejected, self.spec)


class ShardedDataset(Dataset):
    """A process's packs of each step, where `processes` share the work: all are asked for all rows of a step, and each
    decodes those that are dealt to it.

    Lengths come from headers and texts, so all deal alike; they are kept where all workers see them, since a row's
    takes half as long as decoding it (1.1 ms of a processor). A row that can't be decoded is missed in its pack alone.
    """

    def __init__(self, examples: ExampleDataset, budget: int, rank: int, processes: int):
        self.examples, self.budget, self.rank, self.processes = examples, budget, rank, processes
        self._lengths = torch.full((len(examples),), -1, dtype=torch.int32).share_memory_()

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> list[Example | RejectedRow]:
        """One row, regardless of the rank that owns it."""
        return [self.examples[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[list[Example | RejectedRow]]:
        """
        Args:
            indices: of all rows of a step, in the order that all processes have them in.
        """
        assigned = assign_packs([self._length(index) for index in indices], self.budget, self.processes)
        return [[self.examples[indices[number]] for number in pack] for pack in assigned[self.rank]]

    def set_epoch(self, epoch: int) -> None:
        self.examples.set_epoch(epoch)

    def _length(self, index: int) -> int:
        if self._lengths[index] < 0:
            self._lengths[index] = self.examples.length(index)
        return int(self._lengths[index])


def assign_packs(lengths: Sequence[int], budget: int, processes: int) -> list[list[list[int]]]:
    """Each process's packs: their number is a multiple of `processes`; each pack goes to the rank with fewest tokens.

    Where there are fewer packs than processes, some get none.

    Example:
        ([5, 3, 3, 2], 8, 2) -> [[[0, 3]], [[1, 2]]] and ([4], 8, 2) -> [[[0]], []]
    """
    packs = [pack for pack in bin_pack(lengths, budget, processes) if pack]
    tokens = [sum(lengths[index] for index in pack) for pack in packs]
    assigned, held = [[] for _ in range(processes)], [0] * processes
    for number in sorted(range(len(packs)), key=lambda number: (-tokens[number], number)):
        minimum = min(range(processes), key=lambda rank: (held[rank], len(assigned[rank])))
        assigned[minimum].append(packs[number])
        held[minimum] += tokens[number]
    return assigned


def bin_pack(lengths: Sequence[int], budget: int, processes: int = 1) -> list[list[int]]:
    """Numbers of the rows of each pack: as few packs as `budget` tokens each allow, and these about equally long.

    Longest first, each into the emptiest pack that holds it; a row longer than the budget is a pack of its own. Within
    a pack rows keep their order. With several `processes` the number of packs is a multiple of theirs, and where there
    are too few rows for that, some packs are empty.

    Example:
        ([5, 3, 3, 2], 8) -> [[0, 3], [1, 2]] and ([9, 1], 8) -> [[0], [1]]
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    long = [[index] for index in order if lengths[index] > budget]
    short = order[len(long) :]
    count = -(-max(sum(lengths[index] for index in short), bool(short)) // budget)
    while True:
        count += -(count + len(long)) % processes
        packs, filled = [[] for _ in range(count)], [0] * count
        for index in short:
            emptiest = min(range(count), key=filled.__getitem__)
            if filled[emptiest] + lengths[index] > budget:
                break
            packs[emptiest].append(index)
            filled[emptiest] += lengths[index]
        else:
            return [sorted(pack) for pack in (*long, *packs)]
        count += 1


def _batch(packs: Sequence[Sequence[Example]], rejected: Sequence[RejectedRow], spec: PackSpec) -> dict:
    laid = [build_pack(pack, spec) for pack in packs]
    batch = {"packs": laid, "label_count": sum(pack["label_count"] for pack in laid)}
    return batch | ({"rejected": list(rejected)} if rejected else {})
