"""A working directory in which the commands of the classic recipes run as they are printed.

Folders with the names of hub ids stand for the hubs: `Qwen/…` are tiny random models of each family (not where `plan`
runs, which takes the real shapes that ship), `linxy/LaTeX_OCR` and others are drawn rows.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from tests.integration.conftest import LABELS, write_rows

MODELS = {
    "Qwen/Qwen3-VL-4B-Instruct": "qwen3_vl",
    "Qwen/Qwen3-VL-8B-Instruct": "qwen3_vl",
    "Qwen/Qwen3-VL-30B-A3B-Instruct": "qwen3_vl_moe",
    "Qwen/Qwen2.5-VL-3B-Instruct": "qwen2_5_vl",
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2_5_vl",
    "Qwen/Qwen2-VL-2B-Instruct": "qwen2_vl",
}
MODELSCOPE = {"AI-ModelScope/LaTeX_OCR": "scope/latex", "modelscope/coco_2014_caption": "scope/coco"}


def build_sandbox(folder: Path, checkpoints: Mapping[str, Path]) -> Path:
    """`folder/run` with models, `folder/plan` with the same data and no models."""
    work = folder / "run"
    work.mkdir(parents=True)
    _write_formulas(work)
    _write_captions(work / "scope/coco")
    (work / "annotations").symlink_to("scope/coco/annotations")
    (work / "train2014").symlink_to("scope/coco/train2014")
    _write_json(work)
    plan = folder / "plan"
    plan.mkdir()
    for path in work.iterdir():
        (plan / path.name).symlink_to(path)
    for name, family in MODELS.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).symlink_to(checkpoints[family])
    (work / "models").mkdir()
    (work / "models/Qwen3-VL-4B-Instruct").symlink_to(checkpoints["qwen3_vl"])
    return work


def _write_formulas(work: Path) -> None:
    def write(home: str, **counts: int) -> None:
        for split, count in counts.items():
            labels = [LABELS[row % len(LABELS)] for row in range(count)]
            write_rows(work / home / f"{split}-00000-of-00001.parquet", labels)

    write("linxy/LaTeX_OCR/small", train=50, validation=30, test=30)
    write("linxy/LaTeX_OCR/synthetic_handwrite", train=1600, validation=5, test=2600)
    write("linxy/LaTeX_OCR/full", train=24, validation=4, test=4)
    write("unsloth/LaTeX_OCR", train=16, test=4)
    write("scope/latex/default", train=1005)


def _write_captions(home: Path) -> None:
    """COCO's own layout: `annotations/captions_train2014.json` and `train2014/`, two captions an image."""
    images, annotations = [], []
    (home / "train2014").mkdir(parents=True)
    (home / "annotations").mkdir()
    for number in range(505):
        name = f"COCO_train2014_{number:012d}.jpg"
        Image.new("RGB", (40, 30), (number % 256, 90, 160)).save(home / "train2014" / name)
        images.append({"id": number, "file_name": name, "height": 30, "width": 40})
        annotations += [
            {"id": 2 * number + more, "image_id": number, "caption": f"A plain picture, number {number % 7}."}
            for more in (0, 1)
        ]
    content = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
    (home / "annotations/captions_train2014.json").write_text(json.dumps(content))


def _write_json(work: Path) -> None:
    Image.new("RGB", (200, 60), "white").save(work / "formula.png")
    Image.radial_gradient("L").resize((64, 48)).convert("RGB").save(work / "photo.jpg")
    (work / "damaged").mkdir()
    (work / "damaged/cut.png").write_bytes((work / "formula.png").read_bytes()[:60])
    (work / "damaged/cut.txt").write_text("x")
    (work / "damaged/whole.png").write_bytes((work / "formula.png").read_bytes())
    (work / "damaged/whole.txt").write_text("y")

    def write(name: str, rows: list[dict]) -> None:
        (work / name).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")

    def conversation(number: int, user: str, **more: object) -> dict:
        answer = LABELS[number % len(LABELS)]
        turns = [{"role": "user", "value": user}, {"role": "assistant", "value": answer}]
        return {"id": f"identity_{number + 1}", "conversations": turns, **more}

    outside = work.parent / "outside.jpg"
    Image.new("RGB", (200, 60), "white").save(outside)
    write("latex_ocr_train.json", [conversation(row, str(outside)) for row in range(5)])
    write("resized.json", [conversation(0, "photo.jpg", resized_height=100, resized_width=500)])
    write("train_data.json", [{"image_path": "photo.jpg", "question": "描述这张图片", "answer": "蓝色"}])

    def messages(number: int, kind: str) -> dict:
        user = [{"type": kind, kind: f"photos/{number}.jpg"}, {"type": "text", "text": "描述这张图片"}]
        answer = {"role": "assistant", "content": LABELS[number % len(LABELS)]}
        return {"messages": [{"role": "user", "content": user}, answer]}

    (work / "photos").mkdir()
    for number in range(40):
        photo = Image.radial_gradient("L").resize((64, 48)).point([min(255, value + number) for value in range(256)])
        photo.convert("RGB").save(work / f"photos/{number}.jpg")
    write("qwen_vl_train.json", [messages(row, "image") for row in range(40)])
    write("video.json", [messages(0, "video")])
