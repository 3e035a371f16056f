"""The few-shot backbone: against PyTorch, and adapted with every choice of statistics."""

import re

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError

#: Squared norms of the gradients of the squared norm of the logits, in the order of sorted names; the biases of
#: convolutions shift what is normalised and have none.
RECORDED_LOGITS = [
    -1.70712034, 0.263997526, -0.332747999, -2.396894297, 0.887293505, -0.848176894, -2.102946741, 0.575717592,
    -0.539662392,
]  # fmt: skip
RECORDED_GRADIENTS = [
    0.0, 100.26599578, 0.29474045, 9.65606175, 0.0, 43.35170546, 0.53659805, 0.43807205, 0.0, 11.88684731, 0.31469961,
    0.09439814, 0.0, 385.49281892, 350.9502751, 419.78360486, 177.87739575, 857.18070643,
]  # fmt: skip
RECORDED_INPUT, RECORDED_SECOND = 59.59230918, 100581826.407015


def wave(*shape, start=0.0):
    return ho.tensor(np.sin(1.7 * np.arange(np.prod(shape)) + start).reshape(shape))


def test_as_recorded_from_pytorch():
    net = nn.conv4((1, 16, 17), 3, filters=2)
    leaves, structure = ho.tree.flatten(net.init(0))
    leaves = [wave(*p.shape, start=i) * (0.4 if p.ndim == 4 else 1) for i, p in enumerate(leaves)]
    params, x = ho.tree.unflatten(structure, leaves), wave(3, 1, 16, 17)
    np.testing.assert_allclose(net.apply(params, x).numpy().ravel(), RECORDED_LOGITS, atol=1e-8)

    def norms(x):
        by_params, by_x = ho.func.grad(lambda p, x: net.apply(p, x).square().sum(), argnums=(0, 1))(params, x)
        return ho.stack([g.square().sum() for g in (by_x, *ho.tree.leaves(by_params))])

    np.testing.assert_allclose(norms(x).numpy(), [RECORDED_INPUT, *RECORDED_GRADIENTS], rtol=1e-7, atol=1e-8)
    twice = ho.func.grad(lambda x: norms(x).sum())(x)
    assert twice.square().sum().item() == pytest.approx(RECORDED_SECOND, rel=1e-8)


@pytest.mark.parametrize(("image", "features"), [((1, 28, 28), 64), ((3, 84, 84), 64 * 25)])
def test_sizes_of_the_field(image, features):
    net = nn.conv4(image, 5)
    assert net["head"] == nn.linear(features, 5)
    assert net["block1"]["conv"] == nn.conv2d(image[0], 64, 3, padding=1)
    # 4 * (64 * 64 * 9 + 64) with another first layer, weight and bias of four norms, and the head.
    first = 64 * image[0] * 9 + 64
    assert nn.count(net.init(0)) == first + 3 * (64 * 64 * 9 + 64) + 4 * 128 + 5 * features + 5


rng = np.random.default_rng(0)
LABELS = ho.arange(3)
PROTOTYPES = rng.normal(size=(2, 3, 1, 16, 16))
SUPPORT, QUERY = (ho.tensor(PROTOTYPES + 0.3 * rng.normal(size=PROTOTYPES.shape)) for _ in range(2))

NORMS = {
    "transductive": {},
    "running": {"norm": "running"},
    "per_step": {"norm": "per_step", "steps": 3},
    "group": {"norm": lambda n: nn.group_norm(1, n)},
    "none": {"norm": None},
}


def adapted_loss(net, state=None):
    """The loss on the query set after two inner steps, with the statistics of each batch."""

    def loss(params, images, step):
        return ho.cross_entropy(net.apply(params, images, state=state, train=True, step=step), LABELS)

    def after(params, support, query):
        for step in range(2):
            gradient = ho.func.grad(loss)(params, support, step)
            params = ho.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
        return loss(params, query, 2)

    return after


@pytest.mark.parametrize("options", NORMS.values(), ids=NORMS.keys())
def test_the_gradient_through_adaptation(options):
    net = nn.conv4((1, 16, 16), 3, filters=2, **options)
    after, params = adapted_loss(net), net.init(1)

    def meta_loss(params):
        return ho.vmap(after, in_dims=(None, 0, 0))(params, SUPPORT, QUERY).mean()

    gradient = ho.func.grad(meta_loss)(params)
    direction = ho.tree.map(lambda p: ho.tensor(rng.normal(size=p.shape)), params)
    h = 1e-6

    def moved(sign):
        there = ho.tree.map(lambda p, d: p + sign * h * d, params, direction)
        return np.mean([after(there, SUPPORT[i], QUERY[i]).item() for i in range(2)])

    numerical = (moved(1) - moved(-1)) / (2 * h)
    found = sum((g * d).sum().item() for g, d in zip(*map(ho.tree.leaves, (gradient, direction)), strict=True))
    assert found == pytest.approx(numerical, rel=2e-5)
    _, forward = ho.func.jvp(meta_loss, (params,), (direction,))
    assert forward.item() == pytest.approx(found, rel=1e-9)


def test_tasks_leave_statistics_of_every_step():
    net = nn.conv4((1, 16, 16), 3, filters=2, norm="per_step", steps=3)
    params, state = net.init(1), net.init_state()

    def of_task(images):
        after = state
        for step in range(2):
            _, after = net.apply_with_state(params, images, state=after, step=step)
        return after

    states = ho.vmap(of_task)(SUPPORT)
    mean = ho.tree.map(lambda s: s.mean(0), states)
    assert ho.tree.structure(mean) == ho.tree.structure(state)
    running = mean["block2"]["norm"]["running_mean"]
    assert running.shape == (3, 2)
    assert float(abs(running[:2]).min()) > 0
    assert running[2].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(
        states["block4"]["norm"]["running_var"][1].numpy(),
        of_task(SUPPORT[1])["block4"]["norm"]["running_var"].numpy(),
        rtol=1e-12,
    )
    assert net.apply(params, QUERY[0], state=mean, step=1).shape == (3, 3)


def test_mistakes_are_named():
    with pytest.raises(ArgumentError, match=re.escape("image is (1, 15, 20), expected channels, height and width")):
        nn.conv4((1, 15, 20), 5)
    with pytest.raises(ArgumentError, match="steps is 3, but norm is 'running'"):
        nn.conv4((1, 28, 28), 5, norm="running", steps=3)
    with pytest.raises(ArgumentError, match="what is 'per_step' needs steps="):
        nn.conv4((1, 28, 28), 5, norm="per_step")
