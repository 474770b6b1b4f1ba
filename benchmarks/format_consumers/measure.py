"""Every export format, read by every program that reads it: exact match, paired difference to the adapter, size, speed.

python benchmarks/format_consumers/measure.py RUN WORK --transformers-4 FOLDER --vllm-python PYTHON

RUN is a trained run (`texlens train nano_latex-ocr_lora`). Folders in WORK/exports that are there are used; the others
are exported. FOLDER has transformers 4.57 and what it needs
(`pip install --no-deps --target FOLDER transformers==4.57.3 huggingface_hub==0.36.0 tokenizers==0.22.1`), PYTHON is
the interpreter of an environment with vLLM (see vllm_server.py). Results are kept in WORK/readings, so that an
interrupted run goes on; `--only` reads some consumers, `--skip` leaves out formats. The table is written when every
pair was read, and each entry names the base's fingerprint. With `--earlier RESULT.json` the pairs that were not read
are taken from that result.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from format_consumers.consumers import Programs, read_with
from result import write_result

from texlens.core.run_folder import RunFolder
from texlens.data.sample import Sample
from texlens.evaluation.comparison import compare
from texlens.evaluation.evaluation_rows import read_rows
from texlens.evaluation.saved_run import open_run
from texlens.exporting.formats.registry import FORMATS
from texlens.inference.opening.source import resolve_run_base
from texlens.metrics.prediction import Prediction
from texlens.models.bundled import NANO_FOLDER

CHECKPOINTS = ("merged", "merged-float16", "int8", "nf4", "fp8", "gptq", "awq")
SERVED = ("adapter", "merged", "merged-float16", "fp8", "gptq", "awq")
"""What vLLM loads."""
CERTAIN = 0.05
"""A difference with a smaller p (exact McNemar test) is called certain."""


def pairs() -> list[tuple[str, str]]:
    """(format, consumer) of everything that is read."""
    read = [("adapter", "PEFT")]
    read += [(name, consumer) for name in CHECKPOINTS for consumer in ("transformers 5", "transformers 4.57")]
    read += [(name, "llama.cpp") for name in FORMATS if name.startswith("gguf")]
    read += [("onnx", "onnxruntime"), ("web", "onnxruntime"), ("web", "onnxruntime-web")]
    return [*read, *((name, "vLLM") for name in SERVED)]


def export_all(run: Path, folder: Path) -> None:
    for name in FORMATS:
        if not (folder / name).is_dir():
            command = [sys.executable, "-m", "texlens", "export", str(run), "--format", name, "-o", str(folder / name)]
            subprocess.run([*command, "--no-verify"], check=True)


def write_rows(samples: list[Sample], prompt: str, folder: Path) -> None:
    """The images as files, and rows.json."""
    folder.mkdir(parents=True, exist_ok=True)
    values = []
    for number, sample in enumerate(samples):
        image = f"{number:03d}.png"
        sample.image.load().save(folder / image)
        values.append({"id": sample.id, "image": image, "reference": sample.text, "prompt": prompt})
    (folder / "rows.json").write_text(json.dumps(values, ensure_ascii=False))


def predictions(samples: list[Sample], texts: list[str]) -> list[Prediction]:
    return [Prediction(sample.id, sample.text, text, stop="end") for sample, text in zip(samples, texts, strict=True)]


def bytes_of(folder: Path) -> int:
    """Of the weights; of a page, of all that a browser loads."""
    kinds = (".safetensors", ".gguf", ".onnx", ".data", ".wasm", ".mjs", ".js", ".html")
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in kinds)


def figures(samples: list[Sample], reading: dict[str, Any], reference: list[str], size: int) -> dict[str, Any]:
    if "error" in reading:
        return {"error": reading["error"]}
    systems = {"adapter": predictions(samples, reference), "here": predictions(samples, reading["texts"])}
    result = compare(systems)
    pair = result.pairs[0]
    difference = pair.differences["exact_match"]
    return {
        "rows": len(samples),
        "exact_match": result.systems["here"].values["exact_match"].to_json(),
        "difference": difference.to_json(),
        "only_here": pair.only_system,
        "only_adapter": pair.only_reference,
        "p": pair.p_value,
        "certain": pair.p_value < CERTAIN,
        "same_texts": sum(a == b for a, b in zip(reference, reading["texts"], strict=True)),
        "bytes": size,
        "rows_per_s": len(samples) / reading["wall_s"],
        "rows_per_cpu_s": len(samples) / reading["cpu_s"] if reading["cpu_s"] else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--transformers-4", type=Path)
    parser.add_argument("--vllm-python", type=Path)
    parser.add_argument("--only", nargs="*", help="consumers, as the table names them")
    parser.add_argument("--skip", nargs="*", default=[], help="formats that are not read")
    parser.add_argument("--earlier", type=Path, help="a result whose entries replace pairs that were not read")
    parser.add_argument("--partial", action="store_true", help="write the table without the pairs that were not read")
    parser.add_argument("--results", type=Path, default=Path(__file__).parents[1] / "results")
    arguments = parser.parse_args()
    work, exports = arguments.work, arguments.work / "exports"
    (work / "readings").mkdir(parents=True, exist_ok=True)
    export_all(arguments.run, exports)
    config, run = open_run(arguments.run)
    samples = list(read_rows(config, "test", resolve_run_base(config, run).base).samples)
    write_rows(samples, config.data.prompt, work / "rows")
    programs = Programs(str(NANO_FOLDER), arguments.transformers_4, arguments.vllm_python)
    for name, consumer in [("run", "TexLens"), *pairs()]:
        path = reading_path(work, name, consumer)
        if path.is_file() or consumer not in (arguments.only or [consumer]) or name in arguments.skip:
            continue
        folder = arguments.run if name == "run" else exports / name
        value = read_with(consumer, folder, work / "rows", path.with_suffix(".texts"), programs)
        path.write_text(json.dumps(value))
        print(name, consumer, value.get("error") or f"{len(value['texts']) / value['wall_s']:.2f} rows/s", flush=True)
    write_table(samples, run, work, programs, arguments)


def reading_path(work: Path, name: str, consumer: str) -> Path:
    return work / "readings" / f"{name}-{consumer.replace(' ', '-')}.json"


def earlier_entries(path: Path | None) -> dict[tuple[str, str], dict[str, Any]]:
    if path is None:
        return {}
    return {(entry["format"], entry["consumer"]): entry for entry in json.loads(path.read_text())["table"]}


def write_table(
    samples: list[Sample], run: RunFolder, work: Path, programs: Programs, arguments: argparse.Namespace
) -> None:
    """The result file, if every pair was read or is in the earlier result, or with `--partial`."""
    earlier = earlier_entries(arguments.earlier)
    required = [("run", "TexLens"), *(pair for pair in pairs() if pair not in earlier)]
    if missing := [" x ".join(pair) for pair in required if not reading_path(work, *pair).is_file()]:
        print("not read yet:", ", ".join(missing))
        if not arguments.partial:
            return
    reference = json.loads(reading_path(work, "run", "TexLens").read_text())
    fingerprint = run.manifest["base_fingerprint"]
    table = []
    for name, consumer in pairs():
        path = reading_path(work, name, consumer)
        if path.is_file():
            size = bytes_of(work / "exports" / name)
            entry = figures(samples, json.loads(path.read_text()), reference["texts"], size)
            table.append({"format": name, "consumer": consumer, "base_fingerprint": fingerprint, **entry})
        elif (name, consumer) in earlier:
            table.append(earlier[name, consumer])
    command = "python benchmarks/format_consumers/measure.py RUN WORK --transformers-4 FOLDER --vllm-python PYTHON"
    packages = ("torch", "transformers", "peft", "compressed-tensors", "bitsandbytes", "gguf", "onnx", "onnxruntime")
    speed = {"rows_per_s": len(samples) / reference["wall_s"], "rows_per_cpu_s": len(samples) / reference["cpu_s"]}
    description = {"programs": programs.versions(), "rows": len(samples)}
    description |= {"base_fingerprint": fingerprint, "not_read": missing}
    exact = figures(samples, reference, reference["texts"], 0)["exact_match"]
    write_result(
        arguments.results,
        "format consumers",
        command + (" --earlier RESULT" if earlier else ""),
        (*packages, "llama-cpp-python"),
        {**description, "adapter": {"exact_match": exact, **speed}, "table": table},
    )


if __name__ == "__main__":
    main()
