"""The groups of cases: each copies what is whole into a folder, damages it, and names the call that meets it."""

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hostile.configs import NAMES, RUN_FILES, SET_VALUES
from hostile.damage import damage_file
from hostile.requests import call_server
from hostile.templates import TEMPLATES
from texlens.cli.main import main

RUN_YAML = """\
name: run
output: {output}
model: {{path: {model}}}
data: {{path: demo, limit: 4, splits: {{validation: 'validation[:2]', test: 'test[:2]'}}}}
adapter: {{rank: 2, alpha: 4, targets: [text-attention]}}
train: {{steps: 2, batch_size: 2, checkpoints: {{every_steps: 1, keep: 2}}, logging: {{every_steps: 1}}}}
evaluate: {{max_new_tokens: 2, metrics: [exact_match]}}
"""
READ_OPTIONS = ("--max-tokens", "2")


@dataclass(frozen=True)
class Case:
    """`prepare` fills an empty folder; `call` runs in a child process and returns an exit code."""

    name: str
    prepare: Callable[[Path], None]
    call: Callable[[Path], int]


def command(arguments: list[str]) -> int:
    """The exit code of the program's own `main`."""
    sys.argv = ["texlens", *arguments]
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def write_shared(shared: Path) -> None:
    """A tiny checkpoint, a trained run with a comparison, an export of it, and an image."""
    from PIL import Image
    from tests.fixtures.tiny_models import write_tiny_checkpoint

    write_tiny_checkpoint(shared / "tiny")
    Image.effect_noise((64, 32), 60).save(shared / "image.png")
    (shared / "run.yaml").write_text(RUN_YAML.format(output=shared / "runs", model=shared / "tiny"))
    command(["train", str(shared / "run.yaml")])
    command(["export", str(shared / "runs/run"), "-o", str(shared / "export"), "--no-verify"])


class Cases:
    def __init__(self, shared: Path, seed: int):
        self.shared, self.seed = shared, seed

    def groups(self, count: int) -> dict[str, Iterator[Case]]:
        """`count` cases of each random group; of the lists every one, or as many, drawn by the seed."""
        return {
            "checkpoint": self._drawn("checkpoint", count, self._checkpoint),
            "adapter": self._drawn("adapter", count, self._adapter),
            "run folder": self._drawn("run folder", count, self._run_folder),
            "run file": self._drawn("run file", count, self._run_file),
            "chat template": self._listed("chat template", TEMPLATES, count, self._template),
            "listed run file": self._listed("listed run file", RUN_FILES, count, self._listed_run_file),
            "--set": self._listed("--set", SET_VALUES, count, self._set_value),
            "folder name": self._listed("folder name", NAMES, count, self._folder_name),
            "request": self._drawn("request", count, self._request),
        }

    def _drawn(self, group: str, count: int, make: Callable[[random.Random], Case]) -> Iterator[Case]:
        for number in range(count):
            yield make(random.Random(f"{self.seed} {group} {number}"))

    def _listed(self, group: str, values: tuple[str, ...], count: int, make: Callable[[str], Case]) -> Iterator[Case]:
        chosen = random.Random(f"{self.seed} {group}").sample(values, min(count, len(values)))
        return (make(value) for value in chosen)

    def _checkpoint(self, rng: random.Random) -> Case:
        source = self.shared / rng.choice(("tiny", "tiny", "export"))
        name, state = rng.choice(_files(source)), rng.getstate()

        def prepare(folder: Path) -> None:
            shutil.copytree(source, folder / "model")
            rng.setstate(state)
            damage_file(folder / "model" / name, rng)

        if rng.random() < 0.3:
            plan = ["plan", str(self.shared / "run.yaml"), "--set"]
            return Case(f"plan {name}", prepare, lambda folder: command([*plan, f"model.path={folder / 'model'}"]))
        return Case(f"read {name}", prepare, lambda folder: self._read(folder / "model"))

    def _adapter(self, rng: random.Random) -> Case:
        source = self.shared / "runs/run/adapter"
        name, state = rng.choice(_files(source)), rng.getstate()

        def prepare(folder: Path) -> None:
            shutil.copytree(source, folder / "adapter")
            rng.setstate(state)
            damage_file(folder / "adapter" / name, rng)

        return Case(f"read {name}", prepare, lambda folder: self._read(folder / "adapter"))

    def _run_folder(self, rng: random.Random) -> Case:
        source = self.shared / "runs/run"
        name, state = rng.choice(_files(source)), rng.getstate()
        arguments = rng.choice(
            (
                ["report"],
                ["evaluate"],
                ["compare"],
                ["export", "--no-verify"],
                ["train", "--no-compare", "--resume"],
                ["train", "--no-compare", "--accept-changes", "--resume"],
                ["calibrate"],
            )
        )

        def prepare(folder: Path) -> None:
            shutil.copytree(source, folder / "run")
            rng.setstate(state)
            damage_file(folder / "run" / name, rng)

        def call(folder: Path) -> int:
            output = ["-o", str(folder / "out")] if arguments[0] == "export" else []
            return command([*arguments, str(folder / "run"), *output]) or command(["runs", "--output", str(folder)])

        return Case(f"{arguments[0]} {name}", prepare, call)

    def _run_file(self, rng: random.Random) -> Case:
        def prepare(folder: Path) -> None:
            shutil.copyfile(self.shared / "runs/run/config.yaml", folder / "run.yaml")
            damage_file(folder / "run.yaml", rng)

        return Case("plan run.yaml", prepare, lambda folder: command(["plan", str(folder / "run.yaml")]))

    def _template(self, template: str) -> Case:
        def prepare(folder: Path) -> None:
            shutil.copytree(self.shared / "tiny", folder / "model")
            (folder / "model/chat_template.jinja").write_text(template)

        return Case(template[:80], prepare, lambda folder: self._read(folder / "model"))

    def _listed_run_file(self, text: str) -> Case:
        def prepare(folder: Path) -> None:
            (folder / "run.yaml").write_text(text)

        return Case(text[:80], prepare, lambda folder: command(["plan", str(folder / "run.yaml")]))

    def _set_value(self, value: str) -> Case:
        arguments = ["plan", str(self.shared / "run.yaml"), "--set", value]
        return Case(value[:80], lambda folder: None, lambda folder: command(arguments))

    def _folder_name(self, name: str) -> Case:
        """A run folder of that name, one of whose checkpoints is damaged."""

        def prepare(folder: Path) -> None:
            run = folder / "runs" / name
            shutil.copytree(self.shared / "runs/run", run)
            (sorted(run.glob("checkpoints/*"))[-1] / "trainer_state.json").write_text("{")

        def call(folder: Path) -> int:
            run = str(folder / "runs" / name)
            codes = [
                command(["report", run]),
                command(["runs", "--output", str(folder / "runs")]),
                command(["train", "--no-compare", "--resume", run]),
                command(["read", str(self.shared / "image.png"), "--model", run]),
            ]
            return max(codes) if 1 not in codes else 1

        return Case(ascii(name)[:40], prepare, call)

    def _request(self, rng: random.Random) -> Case:
        return Case("20 requests", lambda folder: None, lambda folder: call_server(rng, 20))

    def _read(self, model: Path) -> int:
        return command(["read", str(self.shared / "image.png"), "--model", str(model), *READ_OPTIONS])


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".png")
