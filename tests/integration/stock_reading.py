"""Reads NN.png of a folder with stock transformers and PEFT alone; prints the texts as one JSON list.

python stock_reading.py BASE ADAPTER IMAGES QUESTION
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

base, adapter, images, question = sys.argv[1:]
model = PeftModel.from_pretrained(
    AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32), adapter
).eval()
tokenizer = AutoTokenizer.from_pretrained(adapter)
processor = Qwen2VLImageProcessorPil.from_pretrained(adapter)
texts = []
for path in sorted(Path(images).glob("[0-9][0-9].png")):
    pixels = processor(images=[Image.open(path).convert("RGB")], return_tensors="pt")
    content = [{"type": "image"}, {"type": "text", "text": question}]
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    count = int(pixels["image_grid_thw"].prod()) // processor.merge_size**2
    inputs = tokenizer(chat.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt")
    kinds = (inputs["input_ids"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    with torch.no_grad():
        output_ids = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            mm_token_type_ids=kinds,
            pixel_values=pixels["pixel_values"],
            image_grid_thw=pixels["image_grid_thw"],
            max_new_tokens=48,
            do_sample=False,
        )
    texts.append(tokenizer.decode(output_ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
assert "texlens" not in sys.modules
print(json.dumps(texts))
