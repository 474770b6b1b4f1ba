"""What reads an exported folder: each consumer in a process of its own, from images in a folder to texts."""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from format_consumers.vllm_server import read_by_vllm

from texlens.exporting.web.runtime import VERSION as RUNTIME_VERSION

STOCK = Path(__file__).with_name("stock_reader.py")
ROOT = Path(__file__).parents[2]


def by_texlens(folder: Path, rows: Path, output: Path) -> None:
    """TexLens's own backends: transformers for a run, llama.cpp for GGUF, onnxruntime for ONNX."""
    from texlens.data.sample import LazyImage, Sample
    from texlens.inference.open import open_model

    model = open_model(folder)
    values = json.loads((rows / "rows.json").read_text())
    samples = [Sample(row["id"], LazyImage.from_file(rows / row["image"]), row["reference"]) for row in values]
    start, cpu = time.perf_counter(), time.process_time()
    predictions = model.read(samples)
    figures = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    output.write_text(json.dumps({"texts": [prediction.text for prediction in predictions], **figures}))


def by_browser(folder: Path, rows: Path, output: Path) -> None:
    """onnxruntime-web in headless Chromium, whose processor time is not counted."""
    sys.path.insert(0, str(ROOT))
    from tests.fixtures.browser import chromium
    from tests.fixtures.static_server import static_server

    values = json.loads((rows / "rows.json").read_text())
    texts = []
    with (
        tempfile.TemporaryDirectory() as profile,
        static_server(folder) as page_address,
        chromium(Path(profile)) as browser,
    ):
        page = browser.page(f"{page_address}/index.html")
        page.js('import("./reader.js").then(async ({ Reader }) => { window.theReader = await Reader.open(); })')
        start = time.perf_counter()
        for row in values:
            data = base64.b64encode((rows / row["image"]).read_bytes()).decode()
            texts.append(page.js(READ % data))
        wall_s = time.perf_counter() - start
        assert page.wrongs == [], page.wrongs
    output.write_text(json.dumps({"texts": texts, "wall_s": wall_s, "cpu_s": None}))


READ = """window.theReader.read(
  new Blob([Uint8Array.from(atob("%s"), (c) => c.charCodeAt(0))], { type: "image/png" })
).then(({ text }) => text)"""

LOCAL: Mapping[str, Callable[[Path, Path, Path], None]] = {
    "TexLens": by_texlens,
    "llama.cpp": by_texlens,
    "onnxruntime": by_texlens,
    "onnxruntime-web": by_browser,
}


@dataclass(frozen=True)
class Programs:
    """What consumers need besides this environment: the base's folder, an import path with transformers 4.57, and the
    interpreter of an environment with vLLM."""

    base: str
    transformers_4: Path | None
    vllm_python: Path | None

    def versions(self) -> dict[str, str]:
        """Of the programs that are not in this environment."""
        ask = "from importlib.metadata import version; print(version('vllm'))"
        versions = {"onnxruntime-web": f"{RUNTIME_VERSION}, in headless Chromium"}
        if self.transformers_4 is not None:
            (distribution,) = self.transformers_4.glob("transformers-*.dist-info")
            versions["transformers 4.57"] = distribution.stem.removeprefix("transformers-")
        if self.vllm_python is not None:
            versions["vLLM"] = subprocess.check_output([str(self.vllm_python), "-c", ask], text=True).strip()
        return versions


def read_with(consumer: str, folder: Path, rows: Path, output: Path, programs: Programs) -> dict[str, Any]:
    """Texts, wall_s and cpu_s of a consumer, in a process of its own; `error` where it can't read the folder."""
    environment = dict(os.environ)
    if consumer == "vLLM":
        assert programs.vllm_python is not None, "--vllm-python"
        try:
            read_by_vllm(folder, rows, output, programs.vllm_python)
        except RuntimeError as error:
            return {"error": str(error)[:300]}
        return json.loads(output.read_text())
    if consumer in LOCAL:
        command = [sys.executable, str(Path(__file__)), consumer, str(folder), str(rows), str(output)]
    else:
        command = [sys.executable, str(STOCK), str(folder), str(rows), str(output)]
        command += ["--base", programs.base] if consumer == "PEFT" else []
        paths = [str(programs.transformers_4)] if consumer == "transformers 4.57" else []
        environment["PYTHONPATH"] = os.pathsep.join([*paths, environment.get("PYTHONPATH", "")])
        environment["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:300]}
    return json.loads(output.read_text())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("consumer", choices=LOCAL)
    for name in ("folder", "rows", "output"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    LOCAL[arguments.consumer](arguments.folder, arguments.rows, arguments.output)


if __name__ == "__main__":
    main()
