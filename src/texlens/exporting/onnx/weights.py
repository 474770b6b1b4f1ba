"""8-bit weights in an ONNX graph: each matrix as int8 rows with a scale, before a DequantizeLinear.

Rows are outputs of linear layers and entries of embeddings. A row is rounded to the nearest of 255 values, from minus
to plus its largest magnitude. Biases, norms and sums stay float32.
"""

from typing import Any

import numpy as np

LARGEST = 127


def round_weights(proto: Any) -> list[str]:
    """Replaces the float32 matrices of a graph, an `onnx.ModelProto`, by 8-bit ones; returns their names."""
    from onnx import numpy_helper

    graph = proto.graph
    matrices = [tensor for tensor in graph.initializer if len(tensor.dims) == 2 and tensor.data_type == _float32()]
    for tensor in matrices:
        codes, scales = round_rows(numpy_helper.to_array(tensor))
        name = tensor.name
        graph.initializer.append(numpy_helper.from_array(codes, f"{name}.codes"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scales"))
        graph.node.insert(0, _dequantize(name))
        graph.initializer.remove(tensor)
    return [node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"]


def round_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes of a matrix, and the scale of each row, with which codes x scale is nearest to it."""
    scales = np.abs(matrix).max(1).astype(np.float32) / LARGEST
    safe = np.where(scales == 0, 1, scales).astype(np.float32)
    return np.clip(np.rint(matrix / safe[:, None]), -LARGEST, LARGEST).astype(np.int8), safe


def _dequantize(name: str) -> Any:
    from onnx import helper

    inputs = [f"{name}.codes", f"{name}.scales"]
    return helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}.dequantize", axis=0)


def _float32() -> int:
    from onnx import TensorProto

    return TensorProto.FLOAT
