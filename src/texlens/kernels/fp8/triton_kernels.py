"""Device code of float8 quantization, and the functions that other kernels share.

A maximum ignores NaN; `x * 0.0` does not, so its sum carries NaN and Inf into the scales.
"""

import triton
import triton.language as tl

FP8_MAX = tl.constexpr(448.0)
TINY = tl.constexpr(1.1754944e-38)


@triton.jit
def quantize_rows_kernel(
    x, appended, rescale, quantized, scale, width, ranks, stride, out_stride,
    CHUNKS: tl.constexpr, BLOCK: tl.constexpr, RANKS: tl.constexpr, HAS_APPENDED: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    max_abs, nan_probe = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for chunk in tl.static_range(CHUNKS):
        column_index = chunk * BLOCK + column
        values = tl.load(x + row * stride + column_index, column_index < width, other=0.0).to(tl.float32)
        max_abs = tl.maximum(max_abs, tl.abs(values))
        nan_probe += values * 0.0
    rank = tl.arange(0, RANKS)
    appended_values = tl.load(appended + row * ranks + rank, rank < ranks, other=0.0).to(tl.float32)
    if HAS_APPENDED:
        appended_values *= tl.load(rescale)
    row_scale = tl.maximum(tl.maximum(tl.max(max_abs), tl.max(tl.abs(appended_values))) / FP8_MAX, TINY)
    row_scale += tl.sum(nan_probe) + tl.sum(appended_values * 0.0)
    tl.store(scale + row, row_scale)
    for chunk in tl.static_range(CHUNKS):
        column_index = chunk * BLOCK + column
        values = tl.load(x + row * stride + column_index, column_index < width, other=0.0).to(tl.float32)
        tl.store(quantized + row * out_stride + column_index, to_fp8(values / row_scale), column_index < width)
    out_row = quantized + row * out_stride
    values = appended_values / row_scale
    store_appended(out_row + width, rank, rank < ranks, values, ranks)
    padding = width + 3 * ranks + tl.arange(0, 16)
    tl.store(out_row + padding, to_fp8(padding * 0.0), padding < out_stride)


@triton.jit
def store_appended(out_row, rank, mask, values, ranks):
    """Each value as three columns: rounded, rounded, and the rounding residual."""
    high_value = round_to_fp8(values)
    high = to_fp8(high_value)
    tl.store(out_row + rank, high, mask)
    tl.store(out_row + ranks + rank, high, mask)
    tl.store(out_row + 2 * ranks + rank, to_fp8(round_to_fp8(values - high_value)), mask)


@triton.jit
def round_to_fp8(values):
    """float32 values rounded to float8 e4m3: three mantissa bits, or, below 2^-6, multiples of 2^-9.

    In float32 arithmetic alone: Triton 3.6 converts float8 back wrongly where a thread has 16 of them in a row.
    """
    clamped = tl.minimum(tl.maximum(values, -FP8_MAX), FP8_MAX)
    bits = clamped.to(tl.int32, bitcast=True)
    rounded = (bits + 0x7FFFF + ((bits >> 20) & 1)) & -0x100000
    subnormal = (clamped + 24576.0) - 24576.0  # float32 has a spacing of 2^-9 there
    return tl.where(tl.abs(clamped) < 0.015625, subnormal, rounded.to(tl.float32, bitcast=True))


@triton.jit
def to_fp8(values):
    return tl.minimum(tl.maximum(values, -FP8_MAX), FP8_MAX).to(tl.float8e4nv)


@triton.jit
def abs_bits(values):
    """Absolute values as integers of the same order, among which NaN is the largest."""
    return values.to(tl.float32).to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def quantize_adapters_kernel(
    lora_b, lora_b_scale, lora_b_columns, lora_a, lora_a_scale, lora_a_columns, max_abs, rescales, height, width, ranks,
    lora_b_stride, lora_a_stride, lora_b_out_stride, lora_a_out_stride, programs,
    WRITE: tl.constexpr, RANKS: tl.constexpr, BLOCK: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    if tl.program_id(1) == 0:
        sizes = height, ranks, lora_b_stride, 1, lora_b_out_stride, programs
        _quantize_side(lora_b, lora_b_scale, lora_b_columns, max_abs, rescales, sizes, WRITE, RANKS, BLOCK, PROGRAMS)
    else:
        sizes = width, ranks, 1, lora_a_stride, lora_a_out_stride, programs
        block_max, rescale = max_abs + programs, rescales + 4
        _quantize_side(lora_a, lora_a_scale, lora_a_columns, block_max, rescale, sizes, WRITE, RANKS, BLOCK, PROGRAMS)


@triton.jit
def _quantize_side(
    values, scale, quantized, max_abs, rescale, sizes,
    WRITE: tl.constexpr, RANKS: tl.constexpr, BLOCK: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    """The largest value of each block of rows of one matrix, or, once all are known, its float8 columns."""
    rows, ranks, row_stride, rank_stride, out_stride, programs = sizes
    row, rank = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, RANKS)
    is_row, mask = row < rows, (row < rows)[:, None] & (rank < ranks)[None]
    pointers = values + row[:, None].to(tl.int64) * row_stride + rank[None].to(tl.int64) * rank_stride
    values = tl.load(pointers, mask, other=0.0).to(tl.float32)
    values = values / tl.load(scale + row, is_row, other=1.0)[:, None]
    if WRITE:
        block = tl.arange(0, PROGRAMS)
        block_max = tl.load(max_abs + block, block < programs, other=0.0)
        factor = tl.maximum(tl.max(block_max) / FP8_MAX, 1.0) + tl.sum(block_max * 0.0)
        if tl.program_id(0) == 0:
            tl.store(rescale, factor)
        values = values / factor
        high_value = round_to_fp8(values)
        high, low = to_fp8(high_value), to_fp8(round_to_fp8(values - high_value))
        out_row = quantized + row[:, None].to(tl.int64) * out_stride + rank[None]
        tl.store(out_row, high, mask)
        tl.store(out_row + ranks, low, mask)
        tl.store(out_row + 2 * ranks, high, mask)
    else:
        nan_probe = tl.sum(tl.sum(values * 0.0, 1))
        tl.store(max_abs + tl.program_id(0), tl.max(tl.max(tl.abs(values), 1)) + nan_probe)


@triton.jit
def dequantize_experts_kernel(
    codes,
    scale,
    experts,
    out,
    height,
    width,
    expert_stride,
    stride,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    CHOSEN: tl.constexpr,
):
    slot = tl.program_id(2).to(tl.int64)
    expert = tl.load(experts + slot).to(tl.int64) if CHOSEN else slot
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    is_row = row < height
    is_value = is_row[:, None] & (column < width)[None, :]
    code = tl.load(codes + expert * height * width + row[:, None] * width + column[None, :], is_value)
    factor = tl.load(scale + expert * height + row, is_row, other=0.0)
    value = code.to(tl.float32) * factor[:, None]
    tl.store(out + slot * expert_stride + row[:, None] * stride + column[None, :], value, is_value)
