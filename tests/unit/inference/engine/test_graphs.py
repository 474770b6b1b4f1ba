"""Which graph runs a step, without a GPU."""

import torch

from texlens.inference.engine import graphs
from texlens.inference.engine.graphs import GraphPool, PrefillGraphs, PrefillKind, StepGraphs
from texlens.inference.engine.step_results import StepKind, StepOutput

CPU = torch.device("cpu")
KIND = StepKind()


def step_graphs(*recorded):
    steps = StepGraphs(lambda slots, kind: StepOutput(slots[None]), 256, CPU, GraphPool())
    steps._graphs = {(size, KIND): None for size in recorded}  # type: ignore[assignment]
    return steps


def test_rows_run_as_the_smallest_recorded_size_that_holds_them():
    assert step_graphs(48, 64).size_for(50, KIND) == 64


def test_a_size_gets_its_own_graph_after_some_steps_as_a_larger_one():
    steps = step_graphs(256)
    sizes = [steps.size_for(200, KIND) for _ in range(graphs.STEPS_BEFORE_A_SMALLER + 1)]
    assert sizes == [256] * graphs.STEPS_BEFORE_A_SMALLER + [224]


def test_a_much_larger_graph_is_not_used():
    assert step_graphs(256).size_for(16, KIND) == 16


def test_kinds_have_graphs_of_their_own():
    assert step_graphs(256).size_for(200, StepKind(draws=True)) == 224


def test_more_rows_than_any_size_run_together():
    assert step_graphs().size_for(600, KIND) == 600


def test_on_other_devices_steps_and_prefills_run_as_they_are():
    assert step_graphs().run([3, 5], KIND).packed.tolist() == [[3, 5]]
    prefills = PrefillGraphs(lambda inputs, kind: StepOutput(inputs["a"] + 1), CPU, GraphPool())
    kind = PrefillKind(KIND, (None,), 1, ())
    assert [prefills.run({"a": torch.tensor([1])}, kind, in_graph=True).packed.item() for _ in range(4)] == [2] * 4
