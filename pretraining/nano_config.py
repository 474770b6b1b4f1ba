"""Write the nano model's configuration, tokenizer, chat template and image settings into `models/nano`.

    python -m pretraining.nano_config LATEX_OCR_FOLDER

The tokenizer is a byte-level BPE in Qwen2's own class, trained on the labels of LaTeX_OCR's train rows; its special
tokens and chat layout are Qwen3-VL's, so the code that runs the nano model is the code that runs the big ones.
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as parquet
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer, Qwen3VLConfig
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

NANO = Path(__file__).parents[1] / "src/texlens/models/nano"
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
VOCABULARY = 1024
QUESTIONS = (
    "Transcribe the LaTeX of this image.",
    "Write the LaTeX of this formula.",
    "Convert the formula in this image to LaTeX.",
    "你是一个LaTeX OCR助手,目标是读取用户输入的照片,转换成LaTeX公式。",
)
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' or 'image' in part %}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'text' or 'text' in part %}{{ part.text }}{% endif -%}
{%- endfor -%}
{%- endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


def main(latex_ocr: Path) -> None:
    NANO.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(labels(latex_ocr))
    tokenizer.save_pretrained(NANO)
    config = nano_config(tokenizer)
    config.architectures = ["Qwen3VLForConditionalGeneration"]
    config.save_pretrained(NANO)
    write_json("preprocessor_config.json", image_settings())
    write_json("generation_config.json", {"eos_token_id": config.text_config.eos_token_id, "max_new_tokens": 400})


def labels(latex_ocr: Path) -> list[str]:
    file = latex_ocr / "full/train-00000-of-00001.parquet"
    return parquet.read_table(file, columns=["text"])["text"].to_pylist()


def train_tokenizer(texts: list[str]) -> Qwen2Tokenizer:
    """A BPE of `VOCABULARY` tokens, the special ones last, as Qwen numbers them."""
    raw = Tokenizer(models.BPE())
    raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    chat = [f"user\n{question}\nassistant\nsystem\n" for question in QUESTIONS] * (len(texts) // 20)
    raw.train_from_iterator([*texts, *chat], trainer)
    state = json.loads(raw.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=state["vocab"],
        merges=[tuple(pair) for pair in state["merges"]],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL_TOKENS),
        chat_template=CHAT_TEMPLATE,
    )
    if len(tokenizer) > VOCABULARY:
        raise SystemExit(f"the tokenizer has {len(tokenizer)} tokens, more than {VOCABULARY}")
    return tokenizer


def nano_config(tokenizer) -> Qwen3VLConfig:
    """11.6 million parameters: 4-fold merged 8-pixel patches, six layers each of vision and text."""
    token = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS}
    text = {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 2048,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [12, 10, 10],
            "mrope_interleaved": True,
        },
        "tie_word_embeddings": True,
        "pad_token_id": token["<|endoftext|>"],
        "bos_token_id": None,
        "eos_token_id": token["<|im_end|>"],
    }
    vision = {
        "depth": 6,
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_heads": 4,
        "out_hidden_size": 256,
        "patch_size": 8,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
        "deepstack_visual_indexes": [2],
        "num_position_embeddings": 256,
    }
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token["<|image_pad|>"],
        video_token_id=token["<|video_pad|>"],
        vision_start_token_id=token["<|vision_start|>"],
        vision_end_token_id=token["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def image_settings() -> dict:
    """Pixels between 64 and 384 tokens of 16x16 pixels; a LaTeX_OCR row of 240x40 becomes 320x64."""
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen3VLProcessor",
        "size": {"shortest_edge": 64 * 256, "longest_edge": 384 * 256},
        "patch_size": 8,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_convert_rgb": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
    }


def write_json(name: str, value: dict) -> None:
    (NANO / name).write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
