"""The bundled model's held-out sets share no code, seed, font or template with its pre-training."""

import ast
import re
from pathlib import Path

from pretraining import demo_data
from pretraining.wide import fonts, katex, strokes, ziamath

ROOT = Path(__file__).parents[2]
BUNDLED = {file.name for file in (ROOT / "src/texlens/latex/fonts").iterdir()}
TRAINING = sorted((ROOT / "pretraining").rglob("*.py"))
HELD_OUT = sorted([*(ROOT / "benchmarks/reading_sets").rglob("*.py"), ROOT / "benchmarks/nano_reading.py"])


def imported(file: Path) -> set[str]:
    """First parts of the names of imported modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def strings(file: Path) -> set[str]:
    """String literals of 8 characters or more that are no documentation and no plain names."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documentation)
    texts = (node.value for node in constants if isinstance(node.value, str))
    return {text for text in texts if len(text) >= 8 and re.search(r"[\\{} ]", text)}


def test_no_code_is_shared():
    assert not [file.name for file in HELD_OUT if "pretraining" in imported(file)]
    assert not [file.name for file in TRAINING if imported(file) & {"reading_sets", "nano_reading", "benchmarks"}]


def test_no_font_file_is_shared():
    training = {*fonts.EXTRA.values(), *BUNDLED}
    text = "".join(file.read_text(encoding="utf-8") for file in HELD_OUT)
    held = set(re.findall(r'"([\w-]+\.(?:otf|ttf))"', text)) | set(re.findall(r'"(\w+)": (?:TIMES|DEJAVU|OTHER)', text))
    assert len(held) >= 8
    assert not held & training
    assert not {name.lower() for name in held} & {"katex", "latin-modern", "termes"}


def test_no_engine_is_shared():
    text = "".join(file.read_text(encoding="utf-8") for file in HELD_OUT)
    for engine in (katex, ziamath):
        name = engine.__name__.rsplit(".", 1)[-1]
        assert name not in text.lower()
        assert name in Path(engine.__file__).read_text(encoding="utf-8")
    assert not [file.name for file in TRAINING if re.search("mathjax|mathtext", file.read_text(encoding="utf-8"))]


def test_no_template_of_a_formula_is_shared():
    training = {text for file in TRAINING for text in strings(file) if "\\" in text and " " in text}
    held = {text for file in HELD_OUT for text in strings(file) if "\\" in text and " " in text}
    rare = set((ROOT / "benchmarks/reading_sets/rare.txt").read_text(encoding="utf-8").splitlines())
    environments = {text for text in training & held if re.fullmatch(r" ?\\(?:begin|end)\{\w+\} ?| \\\\ ", text)}
    assert training
    assert rare
    assert training & (held | rare) - environments == set()


def test_no_seed_is_shared():
    seeds = r'Random\("([^"]+)"\)|seed: (?:str|int) = "?([\w ]+)"?|"(elsewhere \d)"'

    def seeds_of(files: list[Path]) -> set[str]:
        texts = (file.read_text(encoding="utf-8") for file in files)
        return {name for text in texts for groups in re.findall(seeds, text) for name in groups if name}

    assert seeds_of(HELD_OUT) >= {"held 41", "textbook 7", "elsewhere 3"}
    assert not seeds_of(HELD_OUT) & {*seeds_of(TRAINING), katex.SEED, ziamath.SEED, str(demo_data.SEED)}


def test_the_demo_has_writers_of_its_own():
    assert strokes.FIRST_WRITER >= demo_data.WRITERS
