"""The formats that rows can be exported to, by name."""

from texlens.data.writers.conversations import CONVERSATIONS
from texlens.data.writers.llava import LLAVA
from texlens.data.writers.messages import MESSAGES
from texlens.data.writers.protocol import RowFormat
from texlens.data.writers.sharegpt import SHAREGPT
from texlens.data.writers.table_text import CSV

WRITERS: dict[str, RowFormat] = {format.name: format for format in (CSV, MESSAGES, CONVERSATIONS, SHAREGPT, LLAVA)}
