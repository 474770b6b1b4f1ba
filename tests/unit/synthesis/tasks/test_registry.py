import random

import pytest

from texlens.data.load import load_split
from texlens.latex.canonical.form import canonical
from texlens.synthesis.tasks.registry import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_its_name_and_depends_on_formula_and_generator_alone(name):
    task, count = TASKS[name], 0
    assert (task.name, bool(task.summary)) == (name, True)
    for text in load_split("demo", split="test[:40]").texts():
        form = canonical(text).text
        pairs = [task.make(form, random.Random(5)) for _ in range(2)]
        assert pairs[0] == pairs[1]
        if pairs[0] is not None:
            count += 1
            assert pairs[0].prompt.strip()
            assert pairs[0].text.strip()
    assert count > 5
