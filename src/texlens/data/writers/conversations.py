"""The tutorials' conversations: one JSON list, turns of `role` and `value`, paths inside the user's turn.

    {"id": "7", "conversations": [{"role": "user", "value": "images/train/7.png"}, {"role": "assistant", "value": "x"}]}

With a question the path is in marks before it: `<|vision_start|>images/train/7.png<|vision_end|>Read`.
"""

from collections.abc import Sequence

from texlens.data.sample import IMAGE_PLACEHOLDER, Sample
from texlens.data.writers.protocol import RowFormat, json_line, own_fields, turns
from texlens.data.writers.sharegpt import read_conversation


def _line(sample: Sample, files: Sequence[str]) -> str:
    names = iter(files)
    turn_list = []
    for role, text in turns(sample):
        if role == "user" and text == IMAGE_PLACEHOLDER and len(files) == 1:
            text = next(names, "")
        elif role == "user":
            first, *others = text.split(IMAGE_PLACEHOLDER)
            text = first + "".join(f"<|vision_start|>{next(names, '')}<|vision_end|>{other}" for other in others)
        turn_list.append({"role": role, "value": text})
    return json_line({**own_fields(sample), "conversations": turn_list}, sample)


CONVERSATIONS = RowFormat("conversations", ".json", _line, read_conversation, head="[\n", between=",\n", foot="\n]\n")
