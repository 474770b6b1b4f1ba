"""Weights and order of the pairs of token and expert."""

import torch

from texlens.kernels.experts.routing import route, sort_by_expert, weights_backward, weights_of


def test_pairs_are_sorted_by_expert_and_found_again():
    routing = sort_by_expert(torch.tensor([[1, 0], [1, 2]]), 4)
    assert routing.tokens.tolist() == [0, 0, 1, 1]
    assert routing.ends.tolist() == [1, 3, 4, 4]
    assert routing.places.tolist() == [[1, 0], [2, 3]]
    assert routing.order.tolist() == [1, 0, 2, 3]


def test_weights_are_the_largest_probabilities_and_sum_to_1():
    x, router = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    weights, routing = route(x, router, 2)
    assert routing.experts.tolist() == [[0, 2]]
    torch.testing.assert_close(weights, torch.tensor([[2.0, 1.0]]).softmax(-1))


def test_gradient_of_the_weights_is_autograds():
    x, router = torch.randn(6, 5, dtype=torch.float64, requires_grad=True), torch.randn(7, 5, dtype=torch.float64)
    weights, routing = route(x, router, 3)
    grad = torch.randn_like(weights)
    (expected,) = torch.autograd.grad(weights, x, grad)
    torch.testing.assert_close(weights_backward(grad, x, router, routing.experts), expected)
    torch.testing.assert_close(weights_of(x, router, routing.experts), weights)
