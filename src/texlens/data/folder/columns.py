"""Samples as columns of a parquet shard, and shards of differing columns brought to the same ones.

| column | of the sample | type |
|---|---|---|
| image | the image | struct of bytes and path, the hub's Image |
| images | all images, in place of `image` where a row has several | list of the same |
| text, id | | string |
| prompt, system, domain | where a row has one | string |
| answers | all accepted answers, where a row has several | list of string |
| history | earlier turns, where a row has some | list of struct of role and content |
| loss_mask | for each assistant's turn, where one is not trained on | list of bool |
| more_questions | further questions about the images, where a row has some | list of struct of prompt, text and task |
| max_pixels | the pixel budget of each image, where a row sets one | list of int64 |
| any other name | a plain value of `extra` (text, number, truth) | by the first value seen |
| extra | what of `extra` fits no column of its own, as JSON | string |
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from texlens.core.errors import DataError
from texlens.data.readers.rows.questions import FIELD as QUESTIONS
from texlens.data.readers.rows.questions import stored_questions
from texlens.data.sample import LazyImage, Sample

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TURN = pa.struct([("role", pa.string()), ("content", pa.string())])
QUESTION = pa.struct([("prompt", pa.string()), ("text", pa.string()), ("task", pa.string())])
TYPES: Mapping[str, pa.DataType] = {
    "image": IMAGE,
    "images": pa.list_(IMAGE),
    "text": pa.string(),
    "id": pa.string(),
    "prompt": pa.string(),
    "system": pa.string(),
    "domain": pa.string(),
    "answers": pa.list_(pa.string()),
    "history": pa.list_(TURN),
    "loss_mask": pa.list_(pa.bool_()),
    "max_pixels": pa.list_(pa.int64()),
    QUESTIONS: pa.list_(QUESTION),
    "extra": pa.string(),
}
ALWAYS = ("text", "id")
PLAIN: Mapping[type, pa.DataType] = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
EXTRA_COLUMNS = 64
"""More names than these in `extra` are data rather than columns; the later ones go into JSON."""
INT64 = range(-(1 << 63), 1 << 63)


class SampleColumns:
    """Rows gathered for a shard. Ids are remembered over all shards (8 bytes each and their share of a set)."""

    def __init__(self, where: str, kinds: dict[str, type]):
        """`kinds` holds the types of the columns made of `extra`, shared by all splits of a folder."""
        self._where, self._kinds = where, kinds
        self._rows: list[dict[str, Any]] = []
        self._ids: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def know(self, ids: Iterable[str]) -> None:
        """Take these ids as given away."""
        self._ids.update(map(hash, ids))

    def add(self, sample: Sample) -> int:
        """Its size in bytes.

        Raises:
            DataError: an image can't be read, or the id was given away.
        """
        if hash(sample.id) in self._ids:
            raise DataError(f"{self._where}: id {sample.id!r} is in two rows; make ids unique")
        images = [_stored(image) for image in sample.images]
        row = {
            "image": images[0],
            "images": images if len(images) > 1 else None,
            "text": sample.text,
            "id": sample.id,
            "prompt": sample.prompt,
            "system": sample.system,
            "domain": sample.domain,
            "answers": list(sample.answers) if sample.more_answers else None,
            "history": [{"role": turn.role, "content": turn.text} for turn in sample.history] or None,
            "loss_mask": None if all(sample.loss_mask) else list(sample.loss_mask),
            "max_pixels": [image.max_pixels for image in sample.images] if _has_budget(sample) else None,
            QUESTIONS: stored_questions(sample.more_questions),
            **self._extra(sample),
        }
        size = _text_size(sample, row)
        self._ids.add(hash(sample.id))
        self._rows.append(row)
        return sum(len(image["bytes"]) for image in images) + size

    def clear(self) -> None:
        self._rows = []

    def table(self) -> pa.Table:
        """The columns that some row uses, with the hub's types in the schema's metadata."""
        rows = self._rows
        has_several_images = any(row["images"] for row in rows)
        arrays: dict[str, pa.Array] = {}
        kinds = {**TYPES, **{name: PLAIN[kind] for name, kind in self._kinds.items()}}
        for name, kind in kinds.items():
            if name == "image":
                values = None if has_several_images else [row["image"] for row in rows]
            elif name == "images":
                values = [row["images"] or [row["image"]] for row in rows] if has_several_images else None
            else:
                values = [row.get(name) for row in rows]
            if values is not None and (name in ALWAYS or any(value is not None for value in values)):
                arrays[name] = pa.array(values, kind)
        return pa.table(arrays).replace_schema_metadata(_metadata(pa.table(arrays).schema))

    def _extra(self, sample: Sample) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        other_values: dict[str, Any] = {}
        for name, value in sample.extra.items():
            if value is None:
                continue
            columns[name] = value
            if not self._has_column(name, value):
                other_values[name] = columns.pop(name)
        if other_values:
            try:
                columns["extra"] = json.dumps(other_values, ensure_ascii=False)
            except TypeError as error:
                raise DataError(f"{sample.image.where}: extra value can't be kept ({error}); remove it") from error
        return columns

    def _has_column(self, name: str, value: Any) -> bool:
        kind = type(value)
        if kind not in PLAIN or name in TYPES or not isinstance(name, str) or (kind is int and value not in INT64):
            return False
        if name not in self._kinds and len(self._kinds) < EXTRA_COLUMNS:
            self._kinds[name] = kind
        return self._kinds.get(name) is kind


def extra_kinds(schema: pa.Schema) -> dict[str, type]:
    """The types of the columns that were made of `extra`."""
    by_type = {kind: name for name, kind in PLAIN.items()}
    return {entry.name: by_type[entry.type] for entry in schema if entry.name not in TYPES}


def unified(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The columns of all shards in one order; where any has `images`, that goes for `image`."""
    kinds = {entry.name: entry.type for schema in schemas for entry in schema}
    if "images" in kinds:
        kinds.pop("image", None)
    order = [name for name in TYPES if name in kinds] + sorted(set(kinds) - set(TYPES))
    schema = pa.schema([(name, kinds[name]) for name in order])
    return schema.with_metadata(_metadata(schema))


def widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of `schema`, those it lacks empty."""

    def column(name: str, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
        if name == "images" and "image" in table.column_names:
            images = table.column("image").combine_chunks()
            return pa.ListArray.from_arrays(pa.array(range(len(images) + 1), pa.int32()), images)
        return table.column(name) if name in table.column_names else pa.nulls(len(table), kind)

    return pa.table([column(entry.name, entry.type) for entry in schema], schema=schema)


def _has_budget(sample: Sample) -> bool:
    return any(image.max_pixels is not None for image in sample.images)


def _stored(image: LazyImage) -> dict[str, Any]:
    return {"bytes": image.encoded(), "path": image.name}


def _text_size(sample: Sample, row: dict[str, Any]) -> int:
    """
    Raises:
        DataError: half a surrogate pair, which no file of UTF-8 can hold.
    """
    values = [value for value in row.values() if isinstance(value, str)]
    values += [*sample.more_answers, *(turn.text for turn in sample.history)]
    values += [text for question in sample.more_questions for text in (question.prompt, question.text)]
    try:
        return sum(len(value.encode()) for value in values)
    except UnicodeEncodeError as error:
        raise DataError(f"{sample.image.where}: a character that UTF-8 can't hold ({error.reason})") from error


def _metadata(schema: pa.Schema) -> dict[str, str]:
    """What `datasets` reads its types from."""
    features = {entry.name: _feature(entry.type) for entry in schema}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {entry.name: _feature(entry.type) for entry in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}
