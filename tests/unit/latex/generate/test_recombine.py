import os
import random
import subprocess
import sys

from texlens.latex.generate.recombine import Recombiner, slots_of, splice

FORMULAS = [
    "a _ { 1 } + b = \\frac { c } { d + 1 } .",
    "x ^ { 2 } - \\sqrt { y } = \\left( \\alpha + \\beta \\right) z",
    "\\int _ { 0 } ^ { \\infty } d x \\, e ^ { - x } \\leq 1",
]


def pieces(formula: str) -> set[tuple[str, str]]:
    tokens = formula.split(" ")
    return {(slot.context, " ".join(tokens[slot.start : slot.end])) for slot in slots_of(tokens)}


def test_pieces_are_known_by_their_place():
    assert pieces("a _ { 1 } + b = \\frac { c } { d + 1 }") == {
        ("side", "a _ { 1 } + b"),
        ("side", "\\frac { c } { d + 1 }"),
        ("term", "a _ { 1 }"),
        ("term", "b"),
        ("term", "\\frac { c } { d + 1 }"),
        ("below", "1"),
        ("over", "c"),
        ("under", "d + 1"),
        ("term", "d"),
        ("term", "1"),
    }


def test_signs_inside_brackets_do_not_cut_a_term():
    terms = {text for context, text in pieces("f ( a + b ) - \\left[ c - d \\right]") if context == "term"}

    assert terms == {"f ( a + b )", "\\left[ c - d \\right]"}


def test_only_pieces_of_the_list_are_put_together_when_nothing_is_renamed():
    recombiner = Recombiner(FORMULAS, exchanged=0.5, renamed=0, redrawn=0)
    words = {token for formula in FORMULAS for token in formula.split(" ")}
    rng = random.Random(0)

    samples = {recombiner.sample(rng, 60) for _ in range(200)}

    assert len(samples) > 20
    assert {token for formula in samples for token in formula.split(" ")} <= words


def test_samples_stay_within_the_limit():
    recombiner, rng = Recombiner(FORMULAS), random.Random(1)

    for limit in (1, 3, 6, 12):
        assert max(len(recombiner.sample(rng, limit).split(" ")) for _ in range(100)) <= limit


def test_sampling_leaves_the_list_as_it_was():
    recombiner, rng = Recombiner(FORMULAS), random.Random(2)
    before = (
        [list(tokens) for tokens in recombiner._formulas],
        {k: [list(p) for p in v] for k, v in recombiner._pools.items()},
    )

    for limit in (2, 5, 100):
        for _ in range(50):
            recombiner.sample(rng, limit)

    assert (recombiner._formulas, recombiner._pools) == before


def test_roman_words_keep_their_letters():
    recombiner, rng = Recombiner(["\\mathrm { d e t } A"], redrawn=1), random.Random(3)

    assert all(recombiner.sample(rng, 20).startswith("\\mathrm { d e t } ") for _ in range(20))


def test_drawing_commands_and_unbalanced_formulas_are_left_out():
    recombiner = Recombiner(["\\put ( 1 , 2 ) x", "} {", "\\left( x", "x + y"])

    assert recombiner._formulas == [["x", "+", "y"]]


def test_splice_takes_whole_pieces():
    tokens = ["a", "+", "b", "c", "-", "d", "=", "e"]

    assert {" ".join(splice(random.Random(seed), tokens, 4)) for seed in range(40)} == {
        "a + b c",
        "+ b c",
        "- d = e",
        "= e",
    }


def test_what_is_sampled_does_not_hang_on_how_strings_hash():
    code = (
        "import random; from texlens.latex.generate.recombine import Recombiner\n"
        "mixer = Recombiner(['a _ { 1 } + b = c', 'x ^ { 2 } - \\\\frac { y } { z }', '( \\\\alpha + \\\\beta ) d']);"
        "print([mixer.sample(random.Random(seed), 40) for seed in range(60)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(outputs) == 1
