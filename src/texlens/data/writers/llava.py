"""LLaVA: as ShareGPT, but the file is in `image` (a list of them where a row has several).

{"id": "7", "image": "images/train/7.png",
 "conversations": [{"from": "human", "value": "<image>Read"}, {"from": "gpt", "value": "x"}]}
"""

from collections.abc import Sequence

from texlens.data.sample import Sample
from texlens.data.writers.protocol import RowFormat, json_line, own_fields
from texlens.data.writers.sharegpt import from_value, read_conversation


def _line(sample: Sample, files: Sequence[str]) -> str:
    image = files[0] if len(files) == 1 else list(files)
    return json_line({**own_fields(sample), "image": image, "conversations": from_value(sample)}, sample)


LLAVA = RowFormat("llava", ".json", _line, read_conversation, head="[\n", between=",\n", foot="\n]\n")
