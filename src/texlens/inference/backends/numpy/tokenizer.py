"""A checkpoint's tokenizer through the `tokenizers` package: the part of transformers' interface that prompts need."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer


class AddedToken(NamedTuple):
    content: str
    special: bool


class LightTokenizer:
    """Read from tokenizer.json, tokenizer_config.json and chat_template.jinja of a folder."""

    def __init__(self, folder: Path):
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self.chat_template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        self.added_tokens_decoder = {
            token_id: AddedToken(token.content, token.special)
            for token_id, token in self._tokenizer.get_added_tokens_decoder().items()
        }
        unknown = config.get("unk_token")
        # transformers returns None for unknown tokens unless the configuration names one
        self.unk_token_id = None if unknown is None else self._tokenizer.token_to_id(unknown)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def __call__(self, text: str, *, add_special_tokens: bool = False) -> dict[str, list[int]]:
        return {"input_ids": self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids}

    def convert_tokens_to_ids(self, token: str) -> int | None:
        token_id = self._tokenizer.token_to_id(token)
        return self.unk_token_id if token_id is None else token_id

    def convert_ids_to_tokens(self, token_id: int) -> str | None:
        return self._tokenizer.id_to_token(token_id)

    def apply_chat_template(
        self,
        messages: list[dict[str, Any]],
        *,
        tokenize: bool = False,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The conversation as text, rendered with the Jinja settings that chat templates are written for.

        Args:
            variables: further ones that the template may read.
        """
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        template = environment.from_string(self.chat_template)
        return template.render(messages=messages, add_generation_prompt=add_generation_prompt, **variables)
