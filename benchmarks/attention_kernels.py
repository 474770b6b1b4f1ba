"""Our attention kernels beside torch's varlen attention and cuDNN's, on a pack of short segments.

    python benchmarks/attention_kernels.py --output benchmarks/results/attention_h200_DATE.json
    python benchmarks/attention_kernels.py --theme text --part backward  # only that
    TRITON_INTERPRET=1 python benchmarks/attention_kernels.py --tiny     # on a CPU; its times mean nothing

Three shapes: the text of a pack of 56 samples (causal, 32 query heads on 8 key heads of width 128; lengths drawn as in
fast_path.py), and that pack's patches in the vision tower (16 heads of width 64, and of width 72). Every way to cut the
kernels is compiled in processes side by side, checked against float32, and timed with events (median of 20 runs). The
backward pass is timed as a whole too, as it is in use and with its two kernels at their best.
"""

import ast
import functools
import itertools
import json
import math
import random
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from kernel_timing import (
    DEVICE,
    DTYPE,
    compile_side_by_side,
    described,
    error_text,
    median_ms,
    off,
    options_of,
    save,
    used_first,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.kernels.attention import triton as triton_attention
from texlens.kernels.attention.api import CAUSAL, GROUPED, varlen
from texlens.kernels.attention.reference import attend_reference
from texlens.kernels.attention.triton import AttentionTile, choose_tiles

ERROR = 0.02


class Theme(NamedTuple):
    heads: int
    groups: int
    width: int
    causal: bool
    layers: int
    cuts: dict[str, list[AttentionTile]]


def cuts(*rows: tuple) -> list[AttentionTile]:
    return [AttentionTile(*row) for row in rows]


THEMES = {
    "text": Theme(
        *(32, 8, 128, True, 36),
        {
            "forward": cuts((64, 32, 4, 3), (64, 32, 4, 2, "masked", 128), (64, 32, 4, 3, "masked"), (64, 64, 4, 2))
            + cuts((128, 32, 8, 2, "branch", 128), (128, 64, 8, 2)),
            "queries": cuts((64, 32, 4, 2, "branch", 168), (64, 32, 4, 3, "masked"), (64, 64, 4, 2, "masked"))
            + cuts((128, 32, 8, 2, "masked", 128)),
            "keys": cuts((32, 64, 4, 3, "masked"), (64, 64, 4, 2, "masked"), (32, 128, 8, 3, "masked")),
        },
    ),
    "vision, width 64": Theme(
        *(16, 16, 64, False, 24),
        {
            "forward": cuts((64, 64, 4, 3, "masked"), (64, 64, 4, 2), (128, 64, 8, 3), (64, 128, 4, 2, "branch", 168)),
            "queries": cuts((64, 32, 4, 3, "masked"), (64, 64, 4, 3), (128, 64, 8, 2), (64, 32, 4, 2), (64, 64, 4, 2))
            + cuts((64, 32, 4, 3, "branch", 128), (64, 64, 4, 2, "branch", 168), (64, 128, 4, 2), (128, 32, 4, 3))
            + cuts((128, 32, 8, 3), (128, 64, 8, 2, "masked"), (64, 64, 4, 3, "masked")),
            "keys": cuts(
                (32, 64, 4, 2), (64, 64, 4, 2), (64, 128, 8, 2), (32, 64, 4, 3, "branch", 128), (32, 128, 8, 2)
            )
            + cuts((32, 128, 4, 2), (64, 64, 4, 3), (64, 64, 8, 2), (32, 64, 4, 4), (64, 64, 4, 2, "branch", 168))
            + cuts((16, 64, 4, 3), (16, 128, 4, 3), (32, 64, 4, 3, "masked"), (128, 64, 8, 2)),
        },
    ),
    "vision, width 72": Theme(
        *(16, 16, 72, False, 27),
        {
            "forward": cuts((64, 64, 4, 2), (64, 64, 4, 3, "masked"), (128, 64, 8, 3)),
            "queries": cuts((64, 64, 4, 2, "masked"), (64, 32, 4, 2)),
            "keys": cuts((32, 64, 4, 3), (64, 64, 4, 2)),
        },
    ),
}


def main() -> None:
    options = _options()
    began = time.monotonic()
    themes = chosen(options)
    if not options.tiny:
        compile_side_by_side(jobs(themes), compile_one, limit_s=150)
    report: dict[str, Any] = {**described(), "compile_s": round(time.monotonic() - began, 1), "themes": {}}
    starts = (own_and_varlen, cudnn) if options.part is None else (own_and_varlen,)
    for start in starts:  # cudnn last: what it may break, nobody needs any more
        for name, theme in themes.items():
            theme_report = report["themes"].setdefault(name, {"arms": []})
            try:
                start(name, theme, options, theme_report)
            except Exception as error:  # noqa: BLE001  one theme's failure is reported and the others still run
                print(f"  {start.__name__} of {name} failed: {error_text(error)}", flush=True)
                theme_report[f"{start.__name__} failed"] = error_text(error)
            theme_report |= summed(theme_report["arms"], theme)
            report["seconds_in_all"] = round(time.monotonic() - began, 1)
            save(report, options.output)
    for name, theme_report in report["themes"].items():
        print(f"{name}: best {json.dumps(theme_report['best'])}")
        print(f"{name}: {json.dumps(theme_report['all_layers_ms'])}")
    print(f"compiled in {report['compile_s']} s, {report['seconds_in_all']} s in all")


def chosen(options) -> dict[str, Theme]:
    """Themes and parts as the options ask for them; small ones for --tiny."""
    parts_by_option = {None: None, "forward": {"forward"}, "backward": {"queries", "keys"}}
    parts, themes = parts_by_option[options.part], {}
    for name, theme in THEMES.items():
        if name.startswith(options.theme):
            cuts = {part: ways for part, ways in theme.cuts.items() if parts is None or part in parts}
            small = {"heads": 4, "groups": 4 * theme.groups // theme.heads} if options.tiny else {}
            themes[name] = theme._replace(cuts=cuts, **small)
    return themes


class Case(NamedTuple):
    """What every part is run on."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    grad: torch.Tensor
    mixed: torch.Tensor
    sums: torch.Tensor
    along: torch.Tensor
    ends: torch.Tensor
    causal: bool


def own_and_varlen(name: str, theme: Theme, options, theme_report: dict) -> None:
    ends = bounds(theme, options.tiny)
    query, key, value, grad = drawn(theme, int(ends[-1]))
    full = in_full(query, key, value, grad, ends, theme.causal)
    theme_report |= {"rows": len(query), "segments": len(ends) - 1, "longest": int(ends.diff().max())}
    print(f"\n{name}: {len(query)} rows in {len(ends) - 1} segments, the longest of {theme_report['longest']}")
    mixed, sums = triton_attention.forward(query, key, value, ends, causal=theme.causal)
    along = (grad.float() * full[0]).sum(-1).unflatten(1, (theme.groups, -1)).transpose(0, 1).contiguous()
    case = Case(query, key, value, grad, mixed, sums, along, ends, theme.causal)
    for part, blocks in ours(theme, query, options.tiny):
        time_part(
            theme_report, part, str(tuple(blocks)), lambda part=part, tiles=blocks: PARTS[part](case, tiles), full
        )
    if "queries" in theme.cuts:
        best = summed(theme_report["arms"], theme)["best"]
        for arm, more in backward_ways(best).items():
            call = functools.partial(triton_attention.backward, grad, query, key, value, mixed, sums, ends, **more)
            time_part(
                theme_report, "backward", arm, lambda call=call: functools.partial(call, causal=theme.causal), full
            )
    if options.part is None:
        beside("varlen", varlen_form, theme_report, (query, key, value, grad), ends, theme.causal, full)


def time_part(theme_report: dict, part: str, arm: str, make, full: list[torch.Tensor]) -> None:
    try:
        call = make()
        wrong = off(call()[: len(FULL[part])], [full[at] for at in FULL[part]])
        record_arm(theme_report, arm, part, median_ms(call), wrong)
    except Exception as error:  # noqa: BLE001  one way's failure is reported and the others still run
        record_arm(theme_report, arm, part, note=error_text(error))


def backward_ways(best: dict) -> dict[str, dict]:
    """The whole backward pass, as it is in use and with its kernels at their best."""
    cut = {part: AttentionTile(*ast.literal_eval(arm)) for part, (arm, _) in best.items()}
    ways = {"(in use)": {}}
    if "queries" in cut and "keys" in cut:
        ways["(the best)"] = {"query_tiles": cut["queries"], "key_tiles": cut["keys"]}
    return ways


def cudnn(name: str, theme: Theme, options, theme_report: dict) -> None:
    print(f"\n{name}")
    ends = bounds(theme, options.tiny)
    tensors = drawn(theme, int(ends[-1]))
    beside("cudnn", cudnn_form, theme_report, tensors, ends, theme.causal, in_full(*tensors, ends, theme.causal))


def record_arm(
    theme_report: dict, arm: str, part: str, ms: float | None = None, error: float | None = None, note: str = ""
) -> None:
    theme_report["arms"].append({"arm": arm, "part": part, "ms": ms and round(ms, 4), "error": error, "note": note})
    figures = f"{ms:9.3f} ms  error {error:.5f}" if ms is not None and error is not None else ""
    print(f"  {part:9} {arm:44} {figures} {note}", flush=True)


def of_keys(case: Case, blocks: AttentionTile | None):
    tensors = case.grad, case.query, case.key, case.value, case.along, case.sums, case.ends
    return functools.partial(triton_attention.grad_keys_values, *tensors, causal=case.causal, tiles=blocks)


def of_queries(case: Case, blocks: AttentionTile | None):
    tensors = case.grad, case.query, case.key, case.value, case.mixed, case.sums, case.ends
    return functools.partial(triton_attention.grad_queries, *tensors, causal=case.causal, tiles=blocks)


def of_forward(case: Case, blocks: AttentionTile | None):
    tensors = case.query, case.key, case.value, case.ends
    return functools.partial(triton_attention.forward, *tensors, causal=case.causal, tiles=blocks)


PARTS = {"forward": of_forward, "queries": of_queries, "keys": of_keys}
FULL = {"forward": [0], "queries": [1], "keys": [2, 3], "backward": [1, 2, 3]}


def ours(theme: Theme, query, tiny: bool):
    """Parts and ways to cut them, the one in use first; of each form one for `tiny`."""
    for part, ways in theme.cuts.items():
        used = choose_tiles(part, query, theme.causal)
        if tiny:
            ways = [AttentionTile(32, 32, 4, 1, form) for form in sorted({blocks.masking for blocks in ways})]
        yield from ((part, blocks) for blocks in used_first(used, ways))


def beside(arm: str, start, theme_report: dict, tensors, ends, causal: bool, full) -> None:
    """Somebody else's attention, forward and backward."""
    *inputs, grad = tensors
    trained = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    part = "forward"
    try:
        call = start(*trained, ends, theme_report["longest"], causal)
        with torch.no_grad():
            record_arm(theme_report, arm, part, median_ms(call), off([call()], full[:1]))
        part, mixed = "backward", call()
        back = lambda: torch.autograd.grad(mixed, trained, grad, retain_graph=True)  # noqa: E731
        record_arm(theme_report, arm, part, median_ms(back), off(back(), full[1:]))
    except Exception as error:  # noqa: BLE001  reported in the table
        record_arm(theme_report, arm, part, note=error_text(error))


def varlen_form(query, key, value, ends, longest: int, causal: bool):
    longest = max(512, 1 << (longest - 1).bit_length())
    extra = (CAUSAL if causal else {}) | (GROUPED if query.shape[1] != key.shape[1] else {})
    return lambda: varlen.varlen_attn(query, key, value, ends, ends, longest, longest, **extra)


def cudnn_form(query, key, value, ends, longest: int, causal: bool):
    run = torch.ops.aten._cudnn_attention_forward
    return lambda: run(query, key, value, None, ends, ends, longest, longest, True, 0.0, causal, False)[0]


def summed(rows: list[dict], theme: Theme) -> dict:
    """The fastest cut of each part whose numbers are right, and milliseconds of a step's layers."""
    done = [row for row in rows if row["ms"] is not None and row["error"] <= ERROR]
    our_rows = [row for row in done if row["arm"].startswith("(")]
    best, in_use = {}, {}
    for row in our_rows:
        part = row["part"]
        in_use.setdefault(part, row)
        best[part] = min(best.get(part, row), row, key=lambda candidate: candidate["ms"])
    ms = {
        name: {part: row["ms"] for part, row in rows.items()} for name, rows in {"best": best, "used": in_use}.items()
    }
    for row in done:
        if row not in our_rows:
            ms.setdefault(row["arm"], {})[row["part"]] = row["ms"]
    layers = {arm: {part: round(each * theme.layers, 2) for part, each in parts.items()} for arm, parts in ms.items()}
    return {"best": {part: [row["arm"], row["ms"]] for part, row in best.items()}, "all_layers_ms": layers}


def bounds(theme: Theme, tiny: bool) -> torch.Tensor:
    """Ends of 56 samples' tokens or patches, padded to a multiple of 128 by a segment of its own."""
    lengths = random.Random(7)
    tokens, patches = [], []
    for _ in range(2 if tiny else 56):
        image = min(300, max(60, int(lengths.lognormvariate(math.log(150), 0.45))))
        height = lengths.choice([4, 6, 8, 10])
        width = max(4, 2 * round(image * 4 / height / 2))
        answer = min(200, max(30, int(lengths.lognormvariate(math.log(90), 0.5))))
        patches.append(height * width // (8 if tiny else 1))
        tokens.append((26 + height * width // 4 + answer) // (8 if tiny else 1))
    ends = list(itertools.accumulate([0, *(tokens if theme.causal else patches)]))
    return torch.tensor([*ends, -(-ends[-1] // 128) * 128], dtype=torch.int32, device=DEVICE)


def drawn(theme: Theme, tokens: int) -> list[torch.Tensor]:
    """Query and key of their own, value a part of a wider product, and a gradient."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    shapes = [theme.heads, theme.groups, theme.heads + 2 * theme.groups, theme.heads]
    tensors = [
        torch.randn(tokens, heads, theme.width, generator=generator, device=DEVICE).to(DTYPE) for heads in shapes
    ]
    tensors[2] = tensors[2][:, theme.heads + theme.groups :]
    return tensors


def in_full(query, key, value, grad, ends, causal: bool) -> list[torch.Tensor]:
    trained = [tensor.float().detach().requires_grad_() for tensor in (query, key, value)]
    mixed = attend_reference(*trained, ends, causal=causal)
    return [mixed.detach(), *torch.autograd.grad(mixed, trained, grad.float())]


def jobs(themes: dict[str, Theme]) -> list[tuple[str, str, AttentionTile | None]]:
    """Every way to cut a part, and None: the one in use."""
    parts = [(name, part, ways) for name, theme in themes.items() for part, ways in theme.cuts.items()]
    return [(name, part, blocks) for name, part, ways in parts for blocks in (None, *ways)]


def compile_one(job: tuple[str, str, AttentionTile | None]) -> None:
    """One part run on little data whose strides and number of segments are those of the real one."""
    name, part, blocks = job
    theme = THEMES[name]
    query, key, value, grad = drawn(theme, 256)
    ends = torch.tensor([0, 200] + [256] * 56, dtype=torch.int32, device=DEVICE)
    sums = torch.zeros(theme.groups, 256, theme.heads // theme.groups, device=DEVICE)
    PARTS[part](Case(query, key, value, grad, query.clone(), sums, sums, ends, theme.causal), blocks)()


def _options():
    parser = options_of(__doc__)
    parser.add_argument("--theme", default="", help="only themes that begin so: text, vision, 'vision, width 64'")
    parser.add_argument("--part", choices=["forward", "backward"], help="only this part, and nobody else's kernels")
    return parser.parse_args()


if __name__ == "__main__":
    main()
