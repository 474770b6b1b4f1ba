"""The tokenizer in GGUF's terms: every token with its type, merges, the tokens with a role, and the chat template."""

import json
from typing import Any

from texlens.models.processor import Processor


def add_tokens(
    writer: Any, processor: Processor, vocabulary: int, bos_token_id: int | None, pre_tokenizer: str
) -> None:
    """
    Args:
        vocabulary: rows of the embedding, more than the tokenizer has tokens.
        bos_token_id: of the checkpoint's config; llama.cpp does not add it to prompts.
        pre_tokenizer: see `GgufExport`.
    """
    tokenizer: Any = processor.tokenizer
    tokens, types = _typed_tokens(tokenizer, vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(_merges(tokenizer))
    if bos_token_id is not None:
        writer.add_bos_token_id(bos_token_id)
    writer.add_eos_token_id(processor.end_token_id)
    writer.add_pad_token_id(processor.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _typed_tokens(tokenizer: Any, vocabulary: int) -> tuple[list[str], list[Any]]:
    """Token and type of every row of the embedding."""
    import gguf

    by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    tokens, types = [], []
    for number in range(vocabulary):
        token = by_id.get(number)
        tokens.append(f"[PAD{number}]" if token is None else token)
        if token is None:
            types.append(gguf.TokenType.UNUSED)
        elif number in added:
            is_control = added[number].special or looks_special(str(token))
            types.append(gguf.TokenType.CONTROL if is_control else gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    return tokens, types


def looks_special(token: str) -> bool:
    """Qwen's tokens for code completion are not marked as special; llama.cpp's converter goes by their form."""
    return token.startswith("<|") and token.endswith("|>")


def _merges(tokenizer: Any) -> list[str]:
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
