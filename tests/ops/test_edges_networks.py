"""Kinks, limits and ruled-out classes of losses and layers: values and two derivatives, as in `test_edges`."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hograd as ho

from . import test_edges as contract
from .test_edges import Edge

inf, nan = math.inf, math.nan

# fmt: off
EDGES = [
    Edge("l1_loss of equal numbers", lambda x, y: ho.l1_loss(x, y, reduction="sum"),
         [[0.0, 1.0], [0.0, 3.0]], 2.0,
         [[0.0, -1.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]),
    Edge("huber_loss at its kinks", lambda x, y: ho.huber_loss(x, y, reduction="none"),
         [[0.0, 1.0, -1.0, 3.0], [0.0, 0.0, 0.0, 0.0]], [0.0, 0.5, 0.5, 2.5],
         [[0.0, 2.0, -3.0, 4.0], [0.0, -2.0, 3.0, -4.0]], [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]),
    Edge("smooth_l1_loss at its kinks", lambda x, y: ho.smooth_l1_loss(x, y, reduction="none"),
         [[0.0, 1.0, -1.0, 3.0], [0.0, 0.0, 0.0, 0.0]], [0.0, 0.5, 0.5, 2.5],
         [[0.0, 2.0, -3.0, 4.0], [0.0, -2.0, 3.0, -4.0]], [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]),
    Edge("hinge_embedding_loss at the margin",
         lambda x: ho.hinge_embedding_loss(x, ho.tensor([1, -1, -1]), reduction="none"),
         [[1.0, 1.0, 3.0]], [1.0, 0.0, 0.0],
         [[1.0, -2.0, 0.0]], None),
    Edge("hinge_loss at the margin", lambda x: ho.hinge_loss(x, ho.tensor([1, -1, 1]), reduction="none"),
         [[1.0, -1.0, 3.0]], [0.0, 0.0, 0.0],
         [[-1.0, 2.0, 0.0]], None),
    Edge("multi_margin_loss at the margin", lambda x: ho.multi_margin_loss(x, ho.tensor([0])),
         [[[2.0, 1.0, 3.0]]], 0.666666666666667,
         [[[-0.333333333333333, 0.0, 0.333333333333333]]], None),
    Edge("triplet_margin_loss of equal points",
         lambda x, y: ho.triplet_margin_loss(x, x.detach(), y, eps=0.0, margin=3.0),
         [[[0.0, 0.0]], [[0.0, 2.0]]], 1.0,
         [[[0.0, 1.0]], [[0.0, -1.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]),
    # As in PyTorch, the least variance stands in without cutting off the derivative.
    Edge("gaussian_nll_loss of a variance of zero",
         lambda x, y: ho.gaussian_nll_loss(x, ho.tensor([1.0]), y, eps=0.5),
         [[2.0], [0.0]], 0.653426409720027,
         [[2.0], [-1.0]], [[-2.0], [2.0]]),
    # By the target at 0 PyTorch's derivative is nan.
    Edge("poisson_nll_loss of small counts",
         lambda x, y: ho.poisson_nll_loss(x, y, full=True, reduction="none"),
         [[0.0, 0.0, 0.0], [0.0, 1.0, 2.0]], [1.0, 1.0, 1.651806484604537],
         [[1.0, 0.0, -3.0], [0.0, 0.0, 2.829441541679835]],
         [[0.0, 0.0, 0.0], [-1.0, -4.0, -5.625]]),
    Edge("margin_ranking_loss of ties",
         lambda x, y: ho.margin_ranking_loss(x, y, ho.tensor([1, -1]), reduction="none"),
         [[1.0, 2.0], [1.0, 1.0]], [0.0, 1.0],
         [[-1.0, 2.0], [1.0, -2.0]], None),
    # PyTorch's are inf and nan at the last.
    Edge("soft_margin_loss of large numbers",
         lambda x: ho.soft_margin_loss(x, ho.tensor([1, 1, 1]), reduction="none"),
         [[0.0, 800.0, -800.0]], [0.693147180559945, 0.0, 800.0],
         [[-0.5, 0.0, -3.0]], [[0.25, 0.0, 0.0]]),
    Edge("binary_cross_entropy_with_logits of large numbers",
         lambda x: ho.binary_cross_entropy_with_logits(x, ho.tensor([0.0, 0.0, 1.0]), reduction="none"),
         [[0.0, 800.0, -800.0]], [0.693147180559945, 800.0, 800.0],
         [[0.5, 2.0, -3.0]], [[0.25, 0.0, 0.0]]),
    # PyTorch's derivatives have 1e-12 instead of x (1 - x) where that is less: 0, 0, -3e12 and 9e24.
    Edge("binary_cross_entropy of certain answers",
         lambda x: ho.binary_cross_entropy(x, ho.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none"),
         [[0.0, 1.0, 0.0, 0.5]], [0.0, 0.0, 100.0, 0.693147180559945],
         [[1.0, -2.0, 0.0, 8.0]], [[1.0, 4.0, 0.0, 64.0]]),
    Edge("kl_div to a probability of zero",
         lambda x: ho.kl_div(x, ho.tensor([0.0, 0.5, 0.5]), reduction="sum"),
         [[-1.0, -2.0, -3.0]], 1.80685281944005,
         [[0.0, -0.5, -0.5]], None),
    # PyTorch's are nan where the target is 0; the derivative of p ln p there is taken as 0.
    Edge("kl_div by a target of zero", lambda x: ho.kl_div(ho.tensor([-1.0, -2.0]), x, reduction="none"),
         [[0.0, 0.5]], [0.0, 0.653426409720027],
         [[1.0, 4.61370563888011]], [[0.0, 8.0]]),
    Edge("cross_entropy of ignored targets", lambda x: ho.cross_entropy(x, ho.tensor([1, -100])),
         [[[0.0, 0.0], [3.0, 0.0]]], 0.693147180559945,
         [[[0.5, -0.5], [0.0, 0.0]]], [[[-0.25, 0.25], [0.0, 0.0]]]),
    Edge("cross_entropy of nothing but ignored targets", lambda x: ho.cross_entropy(x, ho.tensor([-100, -100])),
         [[[0.0, 0.0], [3.0, 0.0]]], nan,
         [[[0.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
    Edge("nll_loss with -inf at an ignored target",
         lambda x: ho.nll_loss(x, ho.tensor([1, 0]), ignore_index=0, reduction="sum"),
         [[[0.0, -1.0], [-inf, 0.0]]], 1.0,
         [[[0.0, -1.0], [0.0, 0.0]]], None),
    # PyTorch's value is nan.
    Edge("cross_entropy of probabilities, a class ruled out",
         lambda x: ho.cross_entropy(x, ho.tensor([[0.0, 0.5, 0.5]])),
         [[[-inf, 0.0, 1.0]]], 0.813261687518223,
         [[[0.0, -0.231058578630005, 0.231058578630005]]], [[[0.0, -0.196611933241482, 0.196611933241482]]]),
    # PyTorch's second derivative is nan.
    Edge("cosine_similarity of a zero vector", lambda x, y: ho.cosine_similarity(x, y),
         [[[0.0, 0.0], [3.0, 4.0]], [[0.0, 2.0], [4.0, 3.0]]], [0.0, 0.96],
         [[[0.0, 100000000.0], [0.0896, -0.0672]], [[0.0, 0.0], [-0.0672, 0.0896]]],
         [[[50000000.0, 0.0], [-0.175616, 0.131712]], [[50000000.0, 0.0], [0.103936, -0.190848]]]),
    # PyTorch's second derivative is nan.
    Edge("renorm of zeros and at the bound", lambda x: ho.renorm(x, 2, 0, 5.0), [[[0.0, 0.0], [3.0, 4.0]]],
         [[0.0, 0.0], [3.0, 4.0]], [[[1.0, 2.0], [3.0, 4.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
    Edge("softmin with inf", lambda x: ho.softmin(x, 0),
         [[inf, 0.0, 0.0]], [0.0, 0.5, 0.5], [[0.0, 0.25, -0.25]], [[0.0, 0.0, 0.0]]),
    Edge("normalize a zero vector", lambda x: ho.normalize(x),
         [[[0.0, 0.0], [3.0, 4.0]]], [[0.0, 0.0], [0.6, 0.8]],
         [[[1000000000000.0, 2000000000000.0], [-1.11022302462516e-16, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
    Edge("layer_norm of constant data", lambda x: ho.layer_norm(x, (2,), eps=1.0),
         [[[2.0, 2.0], [2.0, 4.0]]], [[0.0, 0.0], [-0.707106781186547, 0.707106781186547]],
         [[[-0.5, 0.5], [-0.176776695296637, 0.176776695296637]]],
         [[[0.0, 0.0], [0.132582521472478, -0.132582521472478]]]),
    Edge("rms_norm of zeros", lambda x: ho.rms_norm(x, (2,), eps=1.0),
         [[[0.0, 0.0], [1.0, 1.0]]], [[0.0, 0.0], [0.707106781186547, 0.707106781186547]],
         [[[1.0, 2.0], [0.883883476483184, 1.59099025766973]]], [[[0.0, 0.0], [-5.34749503272327, -7.82236876687618]]]),
    Edge("attention of a query that may look nowhere",
         lambda x, y: ho.scaled_dot_product_attention(x, ho.tensor([[1.0], [2.0]]), y,
                                                      ho.tensor([[True, True], [False, False]])),
         [[[0.0], [1.0]], [[1.0], [3.0]]], [[2.0], [0.0]],
         [[[0.5], [0.0]], [[0.5], [0.5]]], [[[0.25], [0.0]], [[-0.25], [0.25]]]),
    Edge("max_pool1d of ties", lambda x: ho.max_pool1d(x, 2, 1),
         [[[2.0, 2.0, 2.0, 1.0]]], [[2.0, 2.0, 2.0]],
         [[[1.0, 2.0, 3.0, 0.0]]], None),
    # The first of a window, row by row.
    Edge("max_pool2d of ties", lambda x: ho.max_pool2d(x, 2),
         [[[[1.0, 3.0], [3.0, 3.0]]]], [[[3.0]]],
         [[[[0.0, 1.0], [0.0, 0.0]]]], None),
    # As in PyTorch, squares of lengths have 1e-12 added.
    Edge("cosine_embedding_loss at the margin",
         lambda x, y: ho.cosine_embedding_loss(x, y, ho.tensor([-1]), reduction="none"),
         [[[1.0, 0.0]], [[0.0, 1.0]]], [0.0],
         [[[0.0, 0.999999999999]], [[0.999999999999, 0.0]]],
         [[[-1.999999999995, -0.999999999996]], [[-1.999999999995, -0.999999999996]]]),
    Edge("cosine_embedding_loss of zero vectors",
         lambda x, y: ho.cosine_embedding_loss(x, y, ho.tensor(1), reduction="none"),
         [[0.0, 0.0], [0.0, 0.0]], 1.0, [[0.0, 0.0], [0.0, 0.0]], [[-1e12, -2e12], [-1e12, -2e12]]),
    Edge("pairwise_distance of equal points", lambda x, y: ho.pairwise_distance(x, y),
         [[[1.0, 2.0]], [[1.0, 2.0]]], [1.414213562373095e-06],
         [[[0.7071067811865476, 0.7071067811865476]], [[-0.7071067811865476, -0.7071067811865476]]],
         [[[0.0, 0.0]], [[0.0, 0.0]]]),
    Edge("batch_norm of constant data", lambda x: ho.batch_norm(x, None, None, training=True, eps=1.0),
         [[[2.0], [2.0]]], [[0.0], [0.0]], [[[-0.5], [0.5]]], [[[0.0], [0.0]]]),
    Edge("instance_norm of constant data", lambda x: ho.instance_norm(x, eps=1.0),
         [[[[2.0, 2.0]]]], [[[0.0, 0.0]]], [[[[-0.5, 0.5]]]], [[[[0.0, 0.0]]]]),
    Edge("group_norm of constant data", lambda x: ho.group_norm(x, 1, eps=1.0),
         [[[2.0, 2.0]]], [[0.0, 0.0]], [[[-0.5, 0.5]]], [[[0.0, 0.0]]]),
    Edge("dropout of everything", lambda x: ho.dropout(x, 1.0), [[2.0, 1.0]], [0.0, 0.0], [[0.0, 0.0]], None),
    # The padding may be the largest, if all is -inf; PyTorch's derivative is [1, 2].
    Edge("max_pool1d of nothing but -inf", lambda x: ho.max_pool1d(x, 2, padding=1),
         [[[-inf, -inf]]], [[-inf, -inf]],
         [[[0.0, 2.0]]], None),
    Edge("max_pool3d of ties", lambda x: ho.max_pool3d(x, (1, 1, 2)),
         [[[[[3.0, 3.0, 1.0, 3.0]]]]], [[[[3.0, 3.0]]]],
         [[[[[1.0, 0.0, 0.0, 2.0]]]]], None),
    Edge("adaptive_max_pool1d of ties", lambda x: ho.adaptive_max_pool1d(x, 2),
         [[[3.0, 3.0, 3.0]]], [[3.0, 3.0]], [[[1.0, 2.0, 0.0]]], None),
    Edge("adaptive_max_pool2d of ties", lambda x: ho.adaptive_max_pool2d(x, 1),
         [[[[1.0, 3.0], [3.0, 3.0]]]], [[[3.0]]], [[[[0.0, 1.0], [0.0, 0.0]]]], None),
    Edge("adaptive_max_pool3d of ties", lambda x: ho.adaptive_max_pool3d(x, 1),
         [[[[[1.0, 3.0], [3.0, 3.0]]]]], [[[[3.0]]]], [[[[[0.0, 1.0], [0.0, 0.0]]]]], None),
    Edge("multilabel_margin_loss at the margin", lambda x: ho.multilabel_margin_loss(x, ho.tensor([1, -1])),
         [[0.0, 1.0]], 0.0, [[0.0, 0.0]], None),
    Edge("multilabel_soft_margin_loss of large numbers",
         lambda x: ho.multilabel_soft_margin_loss(x, ho.tensor([[1.0, 0.0]]), reduction="none"),
         [[[1000.0, 1000.0]]], [500.0], [[[0.0, 0.5]]], [[[0.0, 0.0]]]),
    # PyTorch's gradient is nan where the loss is inf.
    Edge("ctc_loss of targets that do not fit", lambda x: ho.ctc_loss(x, ho.tensor([1, 1]), 2, 2),
         [[[-1.0, -2.0], [-2.0, -1.0]]], inf, [[[0.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
    Edge("ctc_loss of what cannot be said", lambda x: ho.ctc_loss(x, ho.tensor([1]), 2, 1),
         [[[-inf, 0.0], [-inf, 0.0]]], 0.0, [[[0.0, -1.0], [0.0, -1.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
    Edge("alpha_dropout of everything", lambda x: ho.alpha_dropout(x, 1.0, training=True),
         [[2.0]], [0.0], [[0.0]], None),
    Edge("dropout1d of everything", lambda x: ho.dropout1d(x, 1.0), [[[2.0]]], [[0.0]], [[[0.0]]], None),
    Edge("dropout2d of everything", lambda x: ho.dropout2d(x, 1.0), [[[[2.0]]]], [[[0.0]]], [[[[0.0]]]], None),
    Edge("dropout3d of everything", lambda x: ho.dropout3d(x, 1.0), [[[[[2.0]]]]], [[[[0.0]]]], [[[[[0.0]]]]], None),
    # In the middle of a pixel the slope is that towards the next one, here of zeros above and below.
    Edge("grid_sample in the middle of a pixel", lambda x: ho.grid_sample(ho.tensor([[[[1.0, 3.0, 9.0]]]]), x),
         [[[[[0.0, 0.0]]]]], [[[[3.0]]]], [[[[[9.0, -1.5]]]]], [[[[[-9.0, -4.5]]]]]),
    Edge("local_response_norm of zeros", lambda x: ho.local_response_norm(x, 2), [[[[0.0], [0.0]]]], [[[0.0], [0.0]]],
         [[[[1.0], [2.0]]]], [[[[0.0], [0.0]]]]),
    Edge("embedding with a padding row", lambda x: ho.embedding(ho.tensor([1, 0, 1]), x, padding_idx=0),
         [[[1.0], [2.0]]], [[2.0], [1.0], [2.0]],
         [[[0.0], [4.0]]], None),
]
# fmt: on

edges = pytest.mark.parametrize("edge", EDGES, ids=[edge.name.replace(" ", "-") for edge in EDGES])


@edges
def test_values_and_derivatives_at_the_edge(edge):
    contract.test_values_and_derivatives_at_the_edge(edge)


@edges
def test_transforms_agree_at_the_edge(edge):
    contract.test_transforms_agree_at_the_edge(edge)


def test_the_weight_of_positive_examples_is_differentiated():
    x, t, q = (ho.tensor(v) for v in ([0.3, -0.4], [1.0, 0.25], [2.0, 3.0]))

    def loss(x, q):
        return ho.binary_cross_entropy_with_logits(x, t, pos_weight=q, reduction="sum")

    assert ho.check.gradcheck(loss, (x, q), order=3)
    expected = t * ho.softplus(-x)
    np.testing.assert_allclose(ho.func.grad(loss, argnums=1)(x, q).numpy(), expected.numpy(), rtol=1e-14)


def test_dropout_keeps_the_mean_and_repeats_with_the_generator():
    x = ho.ones(10_000, requires_grad=True)
    y = ho.dropout(x, 0.2, generator=np.random.default_rng(0))
    assert set(y.tolist()) == {0.0, 1.25}
    assert abs(y.mean().item() - 1) < 0.02
    again = ho.dropout(x, 0.2, generator=np.random.default_rng(0))
    assert again.tolist() == y.tolist()
    assert ho.grad(y.sum(), x)[0].tolist() == y.tolist()
    ho.manual_seed(3)
    first = ho.dropout(x)
    assert ho.dropout(x).tolist() != first.tolist()
    ho.manual_seed(3)
    assert ho.dropout(x).tolist() == first.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ho.cross_entropy(ho.zeros(2, 3), ho.tensor([0, 3])), "target class 3 is out of range"),
        (lambda: ho.cross_entropy(ho.zeros(2, 3), ho.tensor([0])), r"shape \(1,\), expected \(2,\)"),
        (lambda: ho.cross_entropy(ho.zeros(2, 3), ho.tensor([0, 1]), ho.ones(2)), r"weight has shape \(2,\)"),
        (lambda: ho.cross_entropy(ho.zeros(2, 3), ho.zeros(2, 4)), "probabilities have shape"),
        (lambda: ho.cross_entropy(ho.zeros(2, 3), ho.tensor([0, 1]), label_smoothing=2), "label_smoothing=2"),
        (lambda: ho.nll_loss(ho.zeros(2, 3), ho.tensor([0, -1])), "target class -1 is out of range"),
        (lambda: ho.l1_loss(ho.zeros(2), ho.zeros(2, 1)), "reshape one"),
        (lambda: ho.mse(ho.zeros(2), ho.zeros(2), reduction="max"), "expected 'mean', 'sum' or 'none'"),
        (lambda: ho.huber_loss(ho.zeros(2), ho.zeros(2), delta=0), "delta=0"),
        (lambda: ho.multi_margin_loss(ho.zeros(2, 3), ho.tensor([0, 3])), "target class 3 is out of range"),
        (lambda: ho.multi_margin_loss(ho.zeros(2, 3), ho.tensor([0, 2]), 3), "p=3, expected 1 or 2"),
        (lambda: ho.triplet_margin_loss(ho.zeros(2), ho.zeros(2), ho.zeros(1, 2)), "same number of dimensions"),
        (lambda: ho.gaussian_nll_loss(ho.zeros(2), ho.zeros(2), -ho.ones(2)), "negative entries"),
        (lambda: ho.gaussian_nll_loss(ho.zeros(2), ho.zeros(2), ho.ones(3)), "incorrect size"),
        (lambda: ho.bilinear(ho.zeros(2, 3), ho.zeros(2, 2), ho.zeros(4, 2, 3)), "expected"),
        (lambda: ho.interpolate(ho.zeros(1, 1, 3)), "only one of size or scale_factor"),
        (lambda: ho.interpolate(ho.zeros(1, 1, 3), 4, mode="bilinear"), "mode is 'bilinear', expected"),
        (lambda: ho.interpolate(ho.zeros(1, 1, 3), 4, align_corners=True), "can only be set with the interpolating"),
        (lambda: ho.interpolate(ho.zeros(1, 1, 3), (4, 4)), "size is"),
        (lambda: ho.interpolate(ho.zeros(1, 1, 3), scale_factor=0.2), "leaves nothing"),
        (lambda: ho.im2col(ho.zeros(1, 2, 2), 3), "larger than the padded x"),
        (lambda: ho.col2im(ho.zeros(4, 3), 3, 2), "a multiple of 4, 4"),
        (lambda: ho.linear(ho.zeros(2, 3), ho.zeros(4, 2)), "mat1 and mat2 shapes cannot be multiplied"),
        (lambda: ho.embedding(ho.zeros(2), ho.zeros(4, 2)), "expected integer rows"),
        (lambda: ho.dropout(ho.zeros(2), 1.5), "between 0 and 1"),
        (lambda: ho.batch_norm(ho.zeros(1, 3), None, None, training=True), "Expected more than 1 value per channel"),
        (lambda: ho.batch_norm(ho.zeros(4, 3), None, None), "training=True"),
        (lambda: ho.batch_norm(ho.zeros(4, 3), None, None, ho.ones(2), training=True), "weight"),
        (lambda: ho.layer_norm(ho.zeros(4, 3), (2,)), "normalized_shape"),
        (lambda: ho.group_norm(ho.zeros(4, 3), 2), "divisor"),
        (lambda: ho.conv2d(ho.zeros(1, 3, 4, 4), ho.zeros(2, 2, 2, 2)), "3 channels"),
        (lambda: ho.conv1d(ho.zeros(1, 3, 4), ho.zeros(2, 3, 5)), "larger than the padded x"),
        (lambda: ho.conv1d(ho.zeros(1, 3, 4), ho.zeros(2, 3, 2), padding="some"), "'same' or 'valid'"),
        (lambda: ho.conv1d(ho.zeros(1, 3, 4), ho.zeros(2, 3, 2), stride=0), "stride is 0"),
        (lambda: ho.conv1d(ho.zeros(1, 3, 4), ho.zeros(2, 3, 2), ho.zeros(3)), r"bias has shape \(3,\)"),
        (lambda: ho.conv_transpose1d(ho.zeros(1, 3, 4), ho.zeros(3, 2, 2), output_padding=1), "output_padding"),
    ],
)  # fmt: skip
def test_errors_say_what_was_found_and_expected(call, words):
    with pytest.raises(ho.errors.HogradError, match=words):
        call()
