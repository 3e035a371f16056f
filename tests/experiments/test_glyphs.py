"""Characters as few-shot images: told apart, split by script, kept with a hash; folders of images."""

import numpy as np
import pytest

from experiments.components.tasks import glyphs as tasks_of_glyphs
from experiments.components.tasks import images as tasks_of_images
from experiments.data import folders, glyphs
from experiments.data.images import MalformedDataError, MissingDataError

pytest.importorskip("PIL", reason="characters are rendered by Pillow")


@pytest.fixture(scope="module")
def upright(tmp_path_factory):
    """Every character once in each face, from a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOGRAD_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield glyphs.load(warps=0)


def test_about_five_hundred_characters_of_five_scripts_in_twelve_faces(upright):
    characters, counts = np.unique(upright.characters, return_counts=True)
    # Another version of the library that renders may find a few more or less of them alike.
    assert 480 < len(characters) < 540
    assert set(counts) == {12}
    assert upright.images.shape == (len(upright.characters), 1, 28, 28)
    assert set(upright.scripts) == set(glyphs.SCRIPTS)
    assert upright.images.max() > 200
    # Each has some ink, and none reaches the edge.
    assert (upright.images.max((1, 2, 3)) > 100).all()
    assert upright.images[:, :, [0, -1]].max() < 60


def test_no_two_characters_look_alike(upright):
    rows = upright.images.reshape(len(np.unique(upright.characters)), -1).astype(float)
    rows -= rows.mean(1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    products = rows @ rows.T - np.eye(len(rows))
    assert products.max() < glyphs.ALIKE + 0.01


def test_what_is_kept_is_what_was_made_and_damage_is_noticed(upright, tmp_path):
    path = tmp_path / "kept.npz"
    glyphs._write(path, upright)
    found = glyphs._read(path)
    assert found is not None
    assert found.digest == upright.digest
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:5000] + b"\0" * 50 + whole[5050:]):
        path.write_bytes(damaged)
        assert glyphs._read(path) is None
    # A folder that cannot be written to does not matter.
    (tmp_path / "file").write_text("")
    glyphs._write(tmp_path / "file" / "kept.npz", upright)


def test_a_warp_without_any_change_is_the_image_a_little_smaller():
    image = np.zeros((84, 84), np.uint8)
    image[30:54, 30:54] = 255
    still = glyphs.warped(image, np.zeros(6))
    assert still.shape == (28, 28)
    assert still.sum() / 255 == pytest.approx(0.95**2 * 64, rel=0.05)
    moved = glyphs.warped(image, np.array([0, 0, 0, 0, 1.0, 0]))
    np.testing.assert_allclose(moved[:, 3:], still[:, :-3], atol=1)


def test_training_and_test_share_no_script(monkeypatch, upright):
    monkeypatch.setattr(glyphs, "load", lambda warps: upright)
    train, test = tasks_of_glyphs(seed=0, shots=1, queries=2).split()
    scripts = [{glyphs.script_of(one) for one in part.classes} for part in (train, test)]
    assert scripts == [{"LATIN", "GREEK"}, {"CYRILLIC", "ARMENIAN", "GEORGIAN"}]
    task = test.batch(0, 2)
    assert task.support.x.shape == (2, 5, 1, 28, 28)
    assert 0 <= task.support.x.min() < task.support.x.max() <= 1


def write_images(folder, classes, count=4, size=(20, 12)):
    from PIL import Image

    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", size, (10 * number, 0, 200)).save(folder / name / f"{index}.png")


def test_folders_are_classes(tmp_path):
    write_images(tmp_path, ["alpha/one", "alpha/two", "beta/one"])
    found = folders.load(tmp_path, 8, colour=True)
    assert found.images.shape == (12, 3, 8, 8)
    assert np.unique(found.classes).tolist() == ["alpha/one", "alpha/two", "beta/one"]
    assert found.images[0, :, 0, 0].tolist() == [0, 0, 200]
    grey = folders.load(tmp_path, 8, inverted=True)
    assert grey.images.shape == (12, 1, 8, 8)
    assert grey.images[0, 0, 0, 0] == 255 - round(0.114 * 200)


def test_the_split_of_a_paper_is_that_of_the_folders(tmp_path):
    write_images(
        tmp_path, [f"images_{part}/{number}" for part in ("background/a", "evaluation/b") for number in (1, 2)]
    )
    train, test = tasks_of_images(
        seed=0, folder=str(tmp_path), side=8, ways=2, queries=1, layout="omniglot", rotations=True
    ).split()
    assert train.classes == ["images_background/a/1", "images_background/a/2"]
    assert test.classes == ["images_evaluation/b/1", "images_evaluation/b/2"]
    assert test.rotations
    mixed, others = tasks_of_images(seed=0, folder=str(tmp_path), side=8, ways=2, queries=1, train=0.5).split()
    assert len(mixed.classes) == len(others.classes) == 2
    assert not set(mixed.classes) & set(others.classes)


def test_folders_without_images_say_so(tmp_path):
    with pytest.raises(MissingDataError, match="there is no such folder"):
        folders.load(tmp_path / "none", 8)
    with pytest.raises(MissingDataError, match="found no images"):
        folders.load(tmp_path, 8)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    with pytest.raises(MalformedDataError, match=r"a\.png: it is no image"):
        folders.load(tmp_path, 8)
