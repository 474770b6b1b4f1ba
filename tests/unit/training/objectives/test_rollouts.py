"""Rollouts: what is drawn, and that each different answer is scored once."""

from types import SimpleNamespace

from texlens.data.sample import LazyImage, Sample
from texlens.inference.bulk.answer_sampler import DrawnAnswer
from texlens.inference.decoding.generation_state import GenerationState
from texlens.models.bundled import NANO_FOLDER
from texlens.models.processor import load_processor
from texlens.rewards.score import RewardScorer, RewardSpec
from texlens.training.objectives.rollout_rows import RolloutPrompt
from texlens.training.objectives.rollouts import RolloutMaker

DRAWN = (("x", "end"), ("x", "end"), ("y", "end"), ("x", "length"))


class Sampler:
    """Draws the texts of `DRAWN` to every prompt."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def draw(self, prompts, seeds, on_drawn):
        assert [len(group) for group in seeds] == [len(DRAWN)] * len(prompts)
        groups = [[self._state(*drawn) for drawn in DRAWN] for _ in prompts]
        for prompt, group in enumerate(groups):
            for number, state in enumerate(group):
                on_drawn(DrawnAnswer(prompt, number, state))
        return groups

    def _state(self, text, stop):
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        tokens = [*ids, self.tokenizer.eos_token_id] if stop == "end" else ids
        return GenerationState(tokens=tokens, log_probabilities=[-0.5] * len(tokens), stop=stop)


class CountingScorer(RewardScorer):
    def __init__(self, spec):
        super().__init__(spec)
        self.scored = []

    def submit(self, predictions):
        self.scored += [(row.id, row.text, row.stop) for row in predictions]
        return super().submit(predictions)


def test_equal_answers_of_a_group_are_scored_once_and_each_has_its_reward():
    processor = load_processor(NANO_FOLDER)
    scorer = CountingScorer(RewardSpec({"exact": 1.0, "length": 1.0}))
    samples = [Sample(name, LazyImage.from_bytes(b"", name), name) for name in ("x", "y")]
    maker = RolloutMaker(Sampler(processor.tokenizer), scorer, processor, samples, answers=len(DRAWN), seed=0)
    rollouts = maker([RolloutPrompt(SimpleNamespace(), row) for row in range(2)], step=1)
    assert scorer.scored == [
        (row, text, stop) for row in ("x", "y") for text, stop in (("x", "end"), ("y", "end"), ("x", "length"))
    ]
    assert [[score.total for score in rollout.scores] for rollout in rollouts] == [[1, 1, 0, 0], [0, 0, 1, -1]]
