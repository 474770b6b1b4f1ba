"""What each row that is a command, a file or a page must have done, by the row's id."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import datasets
from PIL import Image

from tests.integration.conftest import Outcome
from texlens.data.load import load_split

Check = Callable[[Outcome, Path], None]
S1_RUN, S2_RUN, S3_RUN = "runs/qwen3-vl-4b_latex-ocr", "runs/qwen2-vl-2b_latex-ocr", "runs/qwen3-vl-8b_latex-ocr"
S4_RUN, S5_RUN = "runs/qwen3-vl-4b_coco-caption_qlora", "runs/qwen2.5-vl-7b_latex-ocr"


def done(*texts: str, code: int = 0) -> Check:
    """The command ends with this code and prints these texts."""

    def check(outcome: Outcome, folder: Path) -> None:
        assert outcome.code == code, outcome.code
        printed = " ".join((outcome.out + outcome.err).split())
        for text in texts:
            assert text in printed, text

    return check


def page(outcome: Outcome, folder: Path) -> None:
    """test_settings.py looks at pages and their sections."""


def reading(outcome: Outcome, folder: Path) -> None:
    """A random model rarely ends within 8 tokens: exit code 3 says so."""
    assert outcome.code in (0, 3), outcome.code
    assert outcome.code == 0 or "cut at the token limit" in outcome.err or "repeats itself" in outcome.err


def markdown_reading(outcome: Outcome, folder: Path) -> None:
    reading(outcome, folder)
    assert outcome.out.startswith("$$") or "no formula" in outcome.err, outcome.out


def trained(run: str, rows: int, *texts: str) -> Check:
    def check(outcome: Outcome, folder: Path) -> None:
        done("trained 2 steps", f"train: {rows:,} rows", *texts)(outcome, folder)
        state = json.loads((folder / run / "run.json").read_text())
        assert state["training"]["steps"] == 2
        assert (folder / run / "adapter/adapter_model.safetensors").stat().st_size > 0

    return check


def tracked(run: str, rows: int, package: str) -> Check:
    """With the tracker's package the training logs to it; without, one line says what to install."""

    def check(outcome: Outcome, folder: Path) -> None:
        if importlib.util.find_spec(package) is None:
            assert outcome.code == 2
            assert f"train.logging.trackers: {package} is not installed" in outcome.complaint
            return
        trained(run, rows)(outcome, folder)
        assert any((folder / run / package).rglob("*"))

    return check


def script_rows(split: str, folder: Path) -> list[str]:
    """The labels that the script's own lines choose, in their order."""
    files = str(folder / f"linxy/LaTeX_OCR/synthetic_handwrite/{split}-00000-of-00001.parquet")
    rows = datasets.load_dataset("parquet", data_files=files, split="train").shuffle(seed=222)
    return rows.select(range(int(len(rows) * 0.002)))["text"][:]


def s1_trained(outcome: Outcome, folder: Path) -> None:
    trained(S1_RUN, 3)(outcome, folder)
    rows = load_split(str(folder / "linxy/LaTeX_OCR"), subset="synthetic_handwrite", split="train@222[:0.002]")
    assert rows.texts() == script_rows("train", folder)
    logged = history(folder / S1_RUN)
    assert logged[0]["step"] == 1, "the first step is logged"


def s1_compared(outcome: Outcome, folder: Path) -> None:
    done("Exact match")(outcome, folder)
    rows = load_split(str(folder / "linxy/LaTeX_OCR"), subset="synthetic_handwrite", split="test@222[:0.002]")
    assert rows.texts() == script_rows("test", folder)
    places = [outcome.out.index(f"[{row}]") for row in rows.ids()]
    assert len(places) == 5
    assert places == sorted(places), "in the script's order"
    for name in ("reference", "base", "adapter"):
        assert outcome.out.count(f"  {name}") >= 5, name


def history(run: Path) -> list[dict]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "loss" in row]


def logged(run: str, *names: str) -> Check:
    def check(outcome: Outcome, folder: Path) -> None:
        assert set(names) <= set(history(folder / run)[-1]), history(folder / run)[-1]

    return check


def recorded(run: str, *names: str) -> Check:
    def check(outcome: Outcome, folder: Path) -> None:
        assert set(names) <= set(json.loads((folder / run / "run.json").read_text())["training"])

    return check


def exists(outcome: Outcome, folder: Path) -> None:
    """test_commands.py looks whether the file is there."""


def picture(path: str) -> Check:
    return lambda outcome, folder: Image.open(folder / path).verify()


def checkpoints(outcome: Outcome, folder: Path) -> None:
    assert [path.name for path in (folder / S1_RUN / "checkpoints").glob("checkpoint-*")] == ["checkpoint-2"]


def jpeg_table(outcome: Outcome, folder: Path) -> None:
    done("1,000 kept")(outcome, folder)
    lines = (folder / "data/table/train.csv").read_text().splitlines()
    assert lines[0].startswith("image_path,text")
    assert len(lines) == 1001
    first = Image.open(folder / "data/table" / lines[1].split(",")[0])
    assert first.format == "JPEG"


def conversations(outcome: Outcome, folder: Path) -> None:
    rows = json.loads((folder / "data/json/train.json").read_text())
    assert [row["id"] for row in rows] == [f"identity_{number}" for number in range(1, 1001)]
    assert [turn["role"] for turn in rows[0]["conversations"]] == ["user", "assistant"]
    assert Image.open(folder / "data/json" / rows[0]["conversations"][0]["value"]).format == "JPEG"


def identity_rows(outcome: Outcome, folder: Path) -> None:
    done("5 kept")(outcome, folder)
    assert load_split(str(folder / "data/own")).ids() == [f"identity_{number}" for number in range(1, 6)]


def budget_kept(outcome: Outcome, folder: Path) -> None:
    assert load_split(str(folder / "data/resized"))[0].image.max_pixels == 100 * 500


def converted(outcome: Outcome, folder: Path) -> None:
    row = load_split(str(folder / "data/converted"))[0]
    assert (row.prompt, row.text) == ("描述这张图片", "蓝色")


def messages(outcome: Outcome, folder: Path) -> None:
    row = json.loads((folder / "data/messages/train.jsonl").read_text())
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"]


def nf4(outcome: Outcome, folder: Path) -> None:
    """The tiny model has no layer that is wide enough for a block; without bitsandbytes that is the complaint."""
    assert outcome.code == 2
    assert "wide enough to be quantized" in outcome.complaint or "bitsandbytes" in outcome.complaint


def captions(where: str) -> Check:
    def check(outcome: Outcome, folder: Path) -> None:
        done("500 kept")(outcome, folder)
        rows = load_split(str(folder / where))
        assert len(rows) == 500
        assert len(rows[0].answers) == 2

    return check


def float16_merge(outcome: Outcome, folder: Path) -> None:
    done()(outcome, folder)
    assert json.loads((folder / "models/Qwen2.5-VL-7B-LaTeXOCR/config.json").read_text())["torch_dtype"] == "float16"


def formula_picture(outcome: Outcome, folder: Path) -> None:
    assert ElementTree.parse(folder / "formula.svg").getroot().tag.endswith("svg")


def streams(outcome: Outcome, folder: Path) -> None:
    reading(outcome, folder)
    assert outcome.out.strip()


CHECKS: dict[str, Check] = {
    "S1.36": page,
    "S1.37": done("50 rows", "a + b = c"),
    "S1.38": done("train", "50", "validation", "30"),
    "S1.39": done("Qwen3-VL-4B-Instruct"),
    "S1.40": done("trainable", "on each of 2 GPUs"),
    "S1.41": done("94,371,840", "trainable"),
    "S1.42": page,
    "S1.43": done("Transcribe"),
    "S1.44": s1_trained,
    "S1.45": trained("runs/qwen3-vl-30b-a3b_latex-ocr", 3),
    "S1.46": trained("runs/qwen2.5-vl-3b_latex-ocr", 3),
    "S1.47": trained("output/qwen3-vl-4b_latex-ocr", 3),
    "S1.48": tracked(f"{S1_RUN}-2", 3, "swanlab"),
    "S1.49": logged(S1_RUN, "step", "loss", "learning_rate", "grad_norm"),
    "S1.50": picture(f"{S1_RUN}/loss.png"),
    "S1.51": exists,
    "S1.52": exists,
    "S1.53": checkpoints,
    "S1.54": s1_compared,
    "S1.55": done("exported/s1"),
    "S1.56": reading,
    "S1.57": markdown_reading,
    "S1.58": reading,
    "S1.59": done("trainable"),
    "S1.60": done("trainable"),
    "S1.61": exists,
    "S1.62": done("numpy with pyarrow"),
    "S1F.8": done("trainable", "1,600 rows"),
    "S2.31": done("1,000 kept"),
    "S2.32": jpeg_table,
    "S2.33": conversations,
    "S2.34": identity_rows,
    "S2.35": budget_kept,
    "S2.36": done("Qwen2-VL-2B-Instruct"),
    "S2.37": trained(S2_RUN, 996),
    "S2.38": trained(f"{S2_RUN}-2", 996),
    "S2.39": page,
    "S2.40": tracked(f"{S2_RUN}-3", 996, "swanlab"),
    "S2.41": done("[identity_997]", "[identity_1000]", "reference"),
    "S2.42": reading,
    "S3.27": page,
    "S3.28": page,
    "S3.29": done("40"),
    "S3.30": converted,
    "S3.31": messages,
    "S3.32": done("'video' is not supported", code=2),
    "S3.33": trained(S3_RUN, 24),
    "S3.34": trained(f"{S3_RUN}-2", 24),
    "S3.35": trained(f"{S3_RUN}-3", 24),
    "S3.36": done("47,496,960 trainable", "vision"),
    "S3.37": trained("runs/qwen3-vl-8b_latex-ocr_modules-to-save", 24, "embed", "head"),
    "S3.38": done("trainable"),
    "S3.39": logged(S3_RUN, "loss"),
    "S3.40": exists,
    "S3.41": streams,
    "S3.42": done("qwen3_vl_merged_model"),
    "S3.43": nf4,
    "S3.44": done("BLEU-4", "ROUGE-L"),
    "S3.45": done("trainable"),
    "S3.46": done("trainable"),
    "S3.47": done("fitted.yaml"),
    "S3.48": done("trainable"),
    "S3.49": page,
    "S3.50": done("cut.png", code=2),
    "S3.51": page,
    "S3.52": done("trial 2 of 2", "learning_rate", "done"),
    "S3Q.24": trained("runs/qwen3-vl-8b_latex-ocr_qlora", 24),
    "S3Q.25": trained("runs/qwen3-vl-8b_latex-ocr_loftq", 24),
    "S3Q.26": reading,
    "S4.29": captions("data/coco"),
    "S4.30": captions("data/local"),
    "S4.31": reading,
    "S4.32": done("5,898,240 trainable of 4,443,714,048 parameters", "310 optimizer steps"),
    "S4.33": trained(S4_RUN, 496),
    "S4.34": trained(f"{S4_RUN}-2", 496),
    "S4.35": logged(S4_RUN, "loss", "learning_rate", "grad_norm"),
    "S4.36": recorded(S4_RUN, "seconds", "samples_per_s", "final_loss"),
    "S4.37": tracked(f"{S4_RUN}-3", 496, "swanlab"),
    "S4.38": reading,
    "S4.39": reading,
    "S4.40": done("no such folder", code=2),
    "S4.41": done("CIDEr", "reference"),
    "S4M.11": trained("runs/qwen3-vl-4b_coco-caption_moe-lora", 496),
    "S4M.12": reading,
    "S5.30": done("51,521,536 trainable", "GiB"),
    "S5.31": page,
    "S5.32": page,
    "S5.33": done("numpy with pyarrow"),
    "S5.34": done("Qwen2.5-VL-7B-Instruct"),
    "S5.35": streams,
    "S5.36": streams,
    "S5.37": done("16 rows"),
    "S5.38": formula_picture,
    "S5.39": done("为"),
    "S5.40": trained(S5_RUN, 16, "to see the run: tensorboard --logdir"),
    "S5.41": recorded(S5_RUN, "seconds", "peak_memory_gib"),
    "S5.42": exists,
    "S5.43": streams,
    "S5.44": exists,
    "S5.45": float16_merge,
}
