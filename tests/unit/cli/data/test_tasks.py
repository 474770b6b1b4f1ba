"""`texlens data tasks`."""

import json

from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.core.errors import ConfigError
from texlens.data.load import load_split


def run(*arguments: str):
    return CliRunner().invoke(app, ["data", "tasks", *arguments])


def data_set(folder):
    rows = load_split("demo", split="train[:4]")
    (folder / "images").mkdir(parents=True)
    lines = []
    for row in rows:
        (folder / "images" / f"{len(lines)}.png").write_bytes(row.image.encoded())
        lines.append(json.dumps({"image": f"images/{len(lines)}.png", "text": row.text, "id": row.id}))
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder)


def test_questions_are_written_and_read_again(tmp_path):
    source, output = data_set(tmp_path / "in"), tmp_path / "out"
    result = run(source, "tree=1", "counting=1", "-o", str(output), "--scored", "2", "--json")
    assert result.exit_code == 0, result.output
    statistics = json.loads(result.stdout)
    assert statistics["questions"] == {"tree": 4, "counting": 4, "no task": 0}
    assert {name: split["kept"] for name, split in statistics["splits"].items()} == {"train": 4, "test": 4, "tasks": 4}
    train = load_split(str(output), split="train")
    assert [question.task for question in train[0].more_questions] == ["tree", "counting"]
    assert {row.domain for row in load_split(str(output), split="tasks")} == {"task/tree", "task/counting"}
    again = run(source, "tree=1", "counting=1", "-o", str(output), "--scored", "2")
    assert "as it stood" in again.stdout


def test_a_task_without_a_weight_is_an_error(tmp_path):
    result = run(data_set(tmp_path / "in"), "tree", "-o", str(tmp_path / "out"))
    assert isinstance(result.exception, ConfigError)
    assert "write tree=1" in str(result.exception)
