"""Nothing that a file says reaches the terminal as an escape sequence or as markup."""

import json

import pytest

from tests.unit.data.pictures import png

RED = "\x1b[31mred\x1b]8;;http://x\x07"
C1 = "\x9b31mred"
MARKUP = "[/red][bold]"
LABEL = f"x{RED}{C1}{MARKUP}"


@pytest.fixture
def rows(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    lines = []
    for number in range(4):
        (folder / f"{number}.png").write_bytes(png(64, 32, number))
        domain = f"d{RED}"
        lines.append({"image": f"{number}.png", "text": LABEL, "id": f"{number}{RED}", "domain": domain, LABEL: "x"})
    lines.append({"image": f"none{RED}.png", "text": LABEL})
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def is_plain(outcome) -> bool:
    text = outcome.out + outcome.err
    return bool(text) and "Traceback" not in text and not any(char in text for char in "\x1b\x9b\x07")


@pytest.mark.parametrize(
    "command",
    [
        ("data", "validate", "{}"),
        ("data", "validate", "{}", "--all"),
        ("data", "validate", "{}", "--json"),
        ("data", "show", "{}", "--rows", "1", "--model", "nano"),
        ("data", "import", "{}", "-o", "{}/out"),
        ("data", "convert", "{}/train.jsonl", "-o", "{}/out", "--image-column", f"no{RED}"),
        ("data", "split", "{}", "-o", "{}/out", "--train", f"0.5{RED}"),
        ("data", "mix", "{}:1" + RED, "-o", "{}/out"),
        ("canonical", LABEL),
        ("canonical", LABEL, "--json"),
        ("render", LABEL, "-o", "{}/out.svg"),
        ("runs", "--output", f"{{}}/{RED}"),
        ("report", f"{{}}/{RED}{MARKUP}"),
        ("plan", f"{{}}/{RED}.yaml"),
        ("plan", "nano_latex-ocr_lora", "--set", f"name={LABEL}"),
        ("plan", "nano_latex-ocr_lora", "--set", "data.prompt=\ud800"),
        ("read", f"{{}}/{RED}.png"),
        ("read", "{}/0.png", "--model", f"{{}}/{RED}"),
        ("score", "{}/train.jsonl"),
    ],
)
def test_commands_print_no_escape_sequence(texlens, rows, command):
    assert is_plain(texlens(*(part.replace("{}", str(rows)) for part in command)))


def test_scores_and_runs_of_odd_names_are_printed_as_they_are(texlens, tmp_path):
    run = tmp_path / "[bold]x"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"name": "[bold]x", "state": "trained"}))
    listed = texlens("runs", "--output", tmp_path)
    assert "[bold]x" in listed.out
    file = tmp_path / "predictions.jsonl"
    row = {"id": f"1{RED}", "reference": LABEL, "text": LABEL, "domain": f"{RED[:2]}[b]"}
    file.write_text(json.dumps(row) + "\n")
    scored = texlens("score", file)
    assert scored.code == 0
    assert "[b]" in scored.out
    assert is_plain(scored)
