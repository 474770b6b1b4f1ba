import numpy as np
import pytest

from texlens.exporting.onnx.weights import round_rows, round_weights


def test_rows_are_rounded_to_their_own_scale():
    codes, scales = round_rows(np.array([[1.27, -0.635, 0.004], [0, 0, 0]], np.float32))
    assert codes.tolist() == [[127, -64, 0], [0, 0, 0]]
    np.testing.assert_allclose(scales, [0.01, 1], rtol=1e-6)


def test_the_error_of_a_weight_is_at_most_half_a_step():
    matrix = np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32)
    codes, scales = round_rows(matrix)
    assert (np.abs(codes * scales[:, None] - matrix) <= scales[:, None] / 2 + 1e-7).all()


def test_matrices_of_a_graph_become_codes_and_vectors_stay():
    onnx = pytest.importorskip("onnx")
    matrix, bias = np.eye(3, dtype=np.float32), np.ones(3, np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", ["x", "matrix", "bias"], ["y"], transB=1)],
        "linear",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3])],
        [onnx.numpy_helper.from_array(matrix, "matrix"), onnx.numpy_helper.from_array(bias, "bias")],
    )
    proto = onnx.helper.make_model(graph)
    assert round_weights(proto) == ["matrix"]
    onnx.checker.check_model(proto)
    kinds = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    assert kinds["matrix.codes"] == onnx.TensorProto.INT8
    assert kinds["bias"] == onnx.TensorProto.FLOAT
    assert "matrix" not in kinds
