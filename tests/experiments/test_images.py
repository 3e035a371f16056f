"""Files of images: whole ones are read as they are, and of each malformed one a line tells what is wrong with it."""

import gzip
import json
import os
import struct
import tracemalloc

import numpy as np
import pytest

from experiments.data.images import IDX_BYTES, JSON_BYTES, MalformedDataError, MissingDataError, load

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (3, 28, 28), np.uint8)
CLASSES = np.array([9, 0, 4], np.uint8)


def idx(values, kind=8, lengths=None):
    lengths = values.shape if lengths is None else lengths
    return bytes((0, 0, kind, len(lengths))) + struct.pack(f">{len(lengths)}I", *lengths) + values.tobytes()


def write_fashion(folder, images=None, labels=None):
    """The four files, some of them with another content."""
    folder.mkdir(exist_ok=True)
    for part in ("train", "t10k"):
        for name, usual, given in (("images-idx3", PIXELS, images), ("labels-idx1", CLASSES, labels)):
            content = gzip.compress(idx(usual)) if given is None or part == "t10k" else given
            (folder / f"{part}-{name}-ubyte.gz").write_bytes(content)
    return folder


def write_mnist(folder, seventh=None):
    folder.mkdir(exist_ok=True)
    for digit in range(10):
        usual = json.dumps({"data": (PIXELS[:1] / 255 * digit / 9).ravel().tolist()}).encode()
        (folder / f"{digit}.json").write_bytes(usual if seventh is None or digit != 7 else seventh)
    return folder


def refused(name, folder, file):
    """What is said of a file, in one line."""
    with pytest.raises(MalformedDataError) as caught:
        load(name, folder)
    path, said = str(caught.value).split(": ", 1)
    assert path == str(folder / file)
    assert "\n" not in said
    return said


def test_whole_files_are_read_at_any_depth(tmp_path):
    train, test = load("fashion_mnist", write_fashion(tmp_path / "a").parent)
    np.testing.assert_array_equal(train.pixels * 255, PIXELS.reshape(3, -1))
    np.testing.assert_array_equal(test.classes, CLASSES)
    mnist, none = load("mnist", write_mnist(tmp_path / "b"))
    assert none is None
    np.testing.assert_array_equal(mnist.classes, range(10))
    np.testing.assert_allclose(mnist.pixels[9] * 255, PIXELS[0].ravel())


def zeros(text):
    return json.dumps({"data": [0] * 784}).replace("0", text, 1).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "this is no JSON"),
        (b'{"data": [0.0, 0.5', "this is no JSON"),
        (b"\xff\xfe\x00\xd8", "this is no JSON"),
        (b"[" * 100_000, "this is no JSON"),
        (zeros("1" * 5000), "this is no JSON"),
        (b"[0, 1]", "there is no list of pixels in it"),
        (b'{"pixels": []}', "there is no list of pixels in it"),
        (b'{"data": {"0": 1}}', "there is no list of pixels in it"),
        (b'{"data": null}', "there is no list of pixels in it"),
        (b'{"data": []}', "there are 0 pixels, expected 784"),
        (json.dumps({"data": [0.5] * 785}).encode(), "there are 785 pixels, expected 784"),
        (json.dumps({"data": [[0.5] * 784]}).encode(), "pixels of type list"),
        (zeros('"0.5"'), "pixels of type str"),
        (zeros("true"), "pixels of type bool"),
        (zeros("null"), "pixels of type NoneType"),
        (zeros("NaN"), "there is a pixel of nan"),
        (zeros("Infinity"), "there is a pixel of inf"),
        (zeros("1e999"), "there is a pixel of inf"),
        (zeros("-0.1"), "there is a pixel of -0.1"),
        (zeros("255"), "there is a pixel of 255"),
        (zeros("9" * 400), "there is a pixel of inf"),
    ],
    ids=range(21),
)
def test_a_malformed_json_file_is_refused(tmp_path, content, said):
    assert said in refused("mnist", write_mnist(tmp_path / "m", content), "7.json")


LABELS = gzip.compress(idx(CLASSES))
WHOLE = gzip.compress(idx(PIXELS))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with nothing, expected 00 00 08 03"),
        (idx(PIXELS), "cannot be unpacked: Error"),
        (WHOLE[:-1], "it ends before its checksum"),
        (WHOLE[:200], "its head tells of 2,352 bytes, but there are only"),
        (WHOLE[:5], "it begins with nothing"),
        (WHOLE[:60] + bytes([WHOLE[60] ^ 255]) + WHOLE[61:], "cannot be unpacked"),
        (WHOLE[:-8] + bytes([WHOLE[-8] ^ 1]) + WHOLE[-7:], "cannot be unpacked: Error"),
        (WHOLE + b"left over", "something follows it"),
        (gzip.compress(b"\x00\x00"), "begins with 00 00, expected"),
        (gzip.compress(b"\x00\x00\x08\x03"), "its shape is ()"),
        (gzip.compress(b"\x00\x00\x08\x03\x00\x00"), "its shape is ()"),
        (gzip.compress(b"PNG" + idx(PIXELS)), "begins with 50 4e 47 00, expected 00 00 08 03"),
        (gzip.compress(idx(PIXELS, kind=9)), "begins with 00 00 09 03"),
        (gzip.compress(idx(PIXELS.astype(">f4"), kind=13)), "begins with 00 00 0d 03"),
        (LABELS, "begins with 00 00 08 01, expected 00 00 08 03: unsigned bytes along 3 axes"),
        (gzip.compress(idx(PIXELS, lengths=(28, 3, 28))), "its shape is (28, 3, 28), expected (n, 28, 28)"),
        (gzip.compress(idx(PIXELS[:0])), "its shape is (0, 28, 28)"),
        (gzip.compress(idx(PIXELS, lengths=(2**32 - 1, 28, 28))), "its shape is (4294967295, 28, 28)"),
        (gzip.compress(idx(PIXELS, lengths=(4, 28, 28))), "its head tells of 3,136 bytes, but there are only 2,352"),
        (
            gzip.compress(idx(PIXELS, lengths=(2, 28, 28))),
            "its head tells of 1,568 bytes, but there are more than that",
        ),
    ],
    ids=range(20),
)
def test_a_malformed_file_of_images_is_refused(tmp_path, content, said):
    folder = write_fashion(tmp_path / "f", images=content)
    assert said in refused("fashion_mnist", folder, "train-images-idx3-ubyte.gz")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(idx(CLASSES[:2])), "there are 2 classes for 3 images in "),
        (gzip.compress(idx(np.array([0, 10, 1], np.uint8))), "there is a class 10, expected 0 to 9"),
        (gzip.compress(idx(np.array([0, -1, 1], np.int8))), "there is a class 255, expected 0 to 9"),
        (gzip.compress(idx(np.array([0, -1, 1], np.int8), kind=9)), "begins with 00 00 09 01"),
        (WHOLE, "begins with 00 00 08 03, expected 00 00 08 01"),
    ],
    ids=range(5),
)
def test_malformed_labels_are_refused(tmp_path, content, said):
    folder = write_fashion(tmp_path / "f", labels=content)
    assert said in refused("fashion_mnist", folder, "train-labels-idx1-ubyte.gz")


def test_what_unpacks_to_very_much_is_not_unpacked(tmp_path):
    bomb = gzip.compress(idx(PIXELS) + bytes(2**28), 1)
    folder = write_fashion(tmp_path / "f", images=bomb)
    tracemalloc.start()
    said = refused("fashion_mnist", folder, "train-images-idx3-ubyte.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "there are more than that" in said
    assert peak < 2**24


@pytest.mark.parametrize(
    ("name", "file", "most"),
    [("mnist", "7.json", JSON_BYTES), ("fashion_mnist", "train-images-idx3-ubyte.gz", IDX_BYTES)],
)
class TestWhatIsNoSuchFile:
    def whole(self, name, folder):
        return write_mnist(folder) if name == "mnist" else write_fashion(folder)

    def test_a_huge_file_is_not_read(self, tmp_path, name, file, most):
        folder = self.whole(name, tmp_path / "d")
        with (folder / file).open("wb") as hole:
            hole.truncate(2**40)
        assert f"the file has {2**40:,} bytes, expected at most {most:,}" in refused(name, folder, file)

    def test_pipes_folders_and_links_to_nothing(self, tmp_path, name, file, most):
        folder = self.whole(name, tmp_path / "d")
        path = folder / file
        path.unlink()
        path.mkdir()
        assert refused(name, folder, file) == "this is a folder, expected a file"
        path.rmdir()
        path.symlink_to(tmp_path / "nowhere")
        assert refused(name, folder, file) == "the file cannot be read: No such file or directory"
        path.unlink()
        path.symlink_to("/dev/zero")
        assert refused(name, folder, file) == "this is no regular file, expected a file"
        path.unlink()
        os.mkfifo(path)
        assert refused(name, folder, file) == "this is no regular file, expected a file"

    def test_a_file_that_is_missing(self, tmp_path, name, file, most):
        folder = self.whole(name, tmp_path / "d")
        (folder / file).unlink()
        with pytest.raises(MissingDataError, match=f"there is no file {file}"):
            load(name, folder)


def test_one_environment_variable_says_where_all_data_sets_lie(tmp_path, monkeypatch):
    with pytest.raises(
        MissingDataError, match=r"mnist is looked for in data/mnist,.* environment variable HOGRAD_DATA"
    ):
        load("mnist")
    write_mnist(tmp_path / "mnist")
    write_fashion(tmp_path / "fashion_mnist")
    monkeypatch.setenv("HOGRAD_DATA", str(tmp_path))
    assert len(load("mnist")[0].classes) == 10
    assert load("fashion_mnist")[1] is not None
    monkeypatch.setenv("HOGRAD_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(MissingDataError, match="elsewhere/fashion_mnist, but there is no such folder"):
        load("fashion_mnist")
