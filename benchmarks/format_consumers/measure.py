"""Every export format, read by every program that reads it: exact match, paired difference to the adapter, size, speed.

python benchmarks/format_consumers/measure.py RUN WORK --transformers-4 FOLDER --vllm-python PYTHON

RUN is a trained run (`texlens train nano_latex-ocr_lora`). Folders in WORK/exports that are there are used; the others
are exported. FOLDER has transformers 4.57 and what it needs
(`pip install --no-deps --target FOLDER transformers==4.57.3 huggingface_hub==0.36.0 tokenizers==0.22.1`), PYTHON is
the interpreter of an environment with vLLM (see vllm_server.py). Results are kept in WORK/readings, so that an
interrupted run goes on; `--only` reads some consumers, and the table is written when every pair was read.
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
        path = work / "readings" / f"{name}-{consumer.replace(' ', '-')}.json"
        if path.is_file() or consumer not in (arguments.only or [consumer]):
            continue
        folder = arguments.run if name == "run" else exports / name
        value = read_with(consumer, folder, work / "rows", path.with_suffix(".texts"), programs)
        path.write_text(json.dumps(value))
        print(name, consumer, value.get("error") or f"{len(value['texts']) / value['wall_s']:.2f} rows/s", flush=True)
    write_table(samples, work, programs, arguments.results)


def write_table(samples: list[Sample], work: Path, programs: Programs, results: Path) -> None:
    """The result file, if every pair was read."""
    paths = {pair: work / "readings" / f"{pair[0]}-{pair[1].replace(' ', '-')}.json" for pair in pairs()}
    if missing := [" x ".join(pair) for pair, path in paths.items() if not path.is_file()]:
        print("not read yet:", ", ".join(missing))
        return
    reference = json.loads((work / "readings" / "run-TexLens.json").read_text())
    table = []
    for (name, consumer), path in paths.items():
        entry = figures(samples, json.loads(path.read_text()), reference["texts"], bytes_of(work / "exports" / name))
        table.append({"format": name, "consumer": consumer, **entry})
    command = "python benchmarks/format_consumers/measure.py RUN WORK --transformers-4 FOLDER --vllm-python PYTHON"
    packages = ("torch", "transformers", "peft", "compressed-tensors", "bitsandbytes", "gguf", "onnx", "onnxruntime")
    speed = {"rows_per_s": len(samples) / reference["wall_s"], "rows_per_cpu_s": len(samples) / reference["cpu_s"]}
    write_result(
        results,
        "format consumers",
        command,
        (*packages, "llama-cpp-python"),
        {"programs": programs.versions(), "rows": len(samples), "adapter": speed, "table": table},
    )


if __name__ == "__main__":
    main()
