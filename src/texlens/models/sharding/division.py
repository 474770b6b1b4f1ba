"""How a model's frozen weights are divided among the processes that train it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Division:
    """
    Args:
        weights: each process keeps a part of every decoder layer, and layers are gathered while they run.
        experts: each process keeps some experts of a mixture whole, and rows travel to them.
    """

    weights: bool = False
    experts: bool = False
    rank: int = 0
    processes: int = 1

    @property
    def is_divided(self) -> bool:
        """Whether processes must take the same forward and backward passes in the same order."""
        return self.weights or self.experts

    def to_json(self) -> dict[str, str]:
        """As in the run file."""
        names = {False: "replicate", True: "shard"}
        return {"weights": names[self.weights], "experts": names[self.experts]}


WHOLE = Division()
