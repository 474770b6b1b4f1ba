"""Whether the header of a safetensors file says what every header says: for each tensor its type, shape and place."""

from typing import Any

BYTES_BY_DTYPE = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
}
METADATA = "__metadata__"


def header_fault(header: Any) -> str | None:
    """What is wrong with a parsed header, or None."""
    if not isinstance(header, dict):
        return "its header is no JSON object"
    metadata = header.get(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        return f"its {METADATA} is not an object of texts"
    faults = ((name, _entry_fault(entry)) for name, entry in header.items() if name != METADATA)
    return next((f"tensor {name[:80]!a}: {fault}" for name, fault in faults if fault), None)


def _entry_fault(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return "no object"
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str):
        return "no dtype"
    if not (isinstance(shape, list) and all(map(_is_size, shape))):
        return "no shape"
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(map(_is_size, offsets))):
        return "no data_offsets"
    return _size_fault(dtype, shape, offsets)


def _size_fault(dtype: str, shape: list[int], offsets: list[int]) -> str | None:
    size = BYTES_BY_DTYPE.get(dtype)
    if size is None:
        return None  # packed and newer types are the library's to judge
    for length in shape:
        size *= length
    if offsets[1] - offsets[0] != size:
        return f"{offsets[1] - offsets[0]:,} bytes for a shape that takes {size if size < 10**15 else 'many more'}"
    return None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
