"""Answers to one image and question as a unit, and packs of such groups.

# A = answers of a pack, L = labels
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from texlens.core.labels import IGNORE_INDEX
from texlens.inputs.branches.share_prefix import share_prefix
from texlens.inputs.example import Example
from texlens.inputs.pack import Pack, PackSpec, build_pack
from texlens.inputs.packed_collator import bin_pack
from texlens.training.backends.pack_split import split_pack

ANSWER_OF_LABEL, ANSWERS = "answer_of_label", "answers"
"""Keys of a pack: int64 [L], the number of each label's answer in the pack; and how many answers it has."""


@dataclass(frozen=True)
class AnswerGroup:
    """
    Args:
        prompt: image and question, without labels.
        answers: token ids of each answer, the end of the turn included.
        values: of each answer, by name; they become float32 tensors [A] of a pack, in the order of its answers.
        token_values: of each answer's tokens, by name; tensors [L].
    """

    prompt: Example
    answers: tuple[tuple[int, ...], ...]
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    token_values: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Tokens in a pack, in which the prompt is there once; each answer begins with the prompt's last token."""
        if len(self.answers) == 1:
            return len(self.prompt) + len(self.answers[0])
        return len(self.prompt) - 1 + sum(1 + len(answer) for answer in self.answers)

    @property
    def examples(self) -> list[Example]:
        """Prompt and answer of each, labels on the answer alone."""
        return [with_answer(self.prompt, answer) for answer in self.answers]


def with_answer(prompt: Example, answer: Sequence[int]) -> Example:
    """
    Example:
        prompt [<image>, Read], answer [x, <end>] -> ids [<image>, Read, x, <end>], labels [-100, -100, x, <end>]
    """
    ids = [*prompt.input_ids, *answer]
    return replace(prompt, input_ids=ids, labels=[IGNORE_INDEX] * len(prompt) + list(answer))


def without_answer(example: Example, answer_tokens: int) -> Example:
    """An example's prompt, without labels."""
    ids = example.input_ids[: len(example) - answer_tokens]
    return replace(example, input_ids=ids, labels=[IGNORE_INDEX] * len(ids))


def group_packs(groups: Sequence[AnswerGroup], spec: PackSpec, budget: int) -> list[Pack]:
    """Packs of at most `budget` tokens (a longer group alone), with the numbers and values of their answers. A group is
    whole; its image and prompt are in the pack once, and its answers don't see each other."""
    groups = [group for group in groups if group.answers]
    if not groups:
        return []
    plain = replace(spec, bucket=None)
    bins = bin_pack([len(group) for group in groups], budget)
    return [_group_pack([groups[number] for number in numbers], plain) for numbers in bins if numbers]


def _group_pack(groups: Sequence[AnswerGroup], spec: PackSpec) -> Pack:
    pack = build_pack([share_prefix(group.examples, spec.image_token_id) for group in groups], spec)
    counts = torch.tensor([len(answer) for group in groups for answer in group.answers])
    pack |= {ANSWER_OF_LABEL: torch.repeat_interleave(counts), ANSWERS: len(counts), "answer_tokens": counts}
    for name in groups[0].values:
        pack[name] = torch.tensor([value for group in groups for value in group.values[name]], dtype=torch.float32)
    for name in groups[0].token_values:
        values = [value for group in groups for answer in group.token_values[name] for value in answer]
        pack[name] = torch.tensor(values, dtype=torch.float32)
    return pack


def split_answer_pack(pack: Pack, unit: int) -> tuple[Pack, Pack] | None:
    """`pack_split.split_pack` of a pack of groups: cut between groups, with what answers and labels have by name."""
    parts = split_pack(pack, unit)
    if parts is None:
        return None
    first, second = parts
    labels, answers_L = first["label_count"], pack[ANSWER_OF_LABEL]
    answers = int(answers_L[labels])
    cuts = {len(answers_L): labels, pack[ANSWERS]: answers}  # equal where each answer is one label
    for name in pack.keys() - first.keys() - {ANSWER_OF_LABEL}:
        if isinstance(values := pack[name], torch.Tensor):
            cut = cuts[len(values)]
            first[name], second[name] = values[:cut], values[cut:]
    first |= {ANSWER_OF_LABEL: answers_L[:labels], ANSWERS: answers}
    second |= {ANSWER_OF_LABEL: answers_L[labels:] - answers, ANSWERS: pack[ANSWERS] - answers}
    return first, second


def split_group(group: AnswerGroup, budget: int) -> list[AnswerGroup]:
    """Parts of at most `budget` tokens, at least one answer each, for losses in which answers don't meet."""
    parts, start = [], 0
    while start < len(group.answers):
        end = start + 1
        while end < len(group.answers) and len(_part(group, start, end + 1)) <= budget:
            end += 1
        parts.append(_part(group, start, end))
        start = end
    return parts


def _part(group: AnswerGroup, start: int, end: int) -> AnswerGroup:
    return AnswerGroup(
        group.prompt,
        group.answers[start:end],
        {name: values[start:end] for name, values in group.values.items()},
        {name: values[start:end] for name, values in group.token_values.items()},
    )
