"""Machine code on disk: it is read only where nobody else could have written it, and whole."""

import os
import re
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from hograd.program.native import cache

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are those of POSIX")
KEY = "0" * 64


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("HOGRAD_CACHE_DIR", str(tmp_path / "code"))
    return tmp_path / "code"


def test_what_is_stored_is_loaded_and_belongs_to_this_user_alone(place):
    assert cache.load(KEY) is None
    cache.store(KEY, b"code")
    assert cache.load(KEY) == b"code"
    assert place.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o077 == 0 for file in place.iterdir())


def test_a_folder_that_others_can_read_is_closed_to_them(place):
    place.mkdir(mode=0o755)
    cache.store(KEY, b"code")
    assert cache.load(KEY) == b"code"
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_other_things_keeps_its_mode_and_these(place, monkeypatch):
    place.mkdir(mode=0o755)
    others = [place / name for name in ("main.o", "film.part", "letter")]
    for other in others:
        other.write_bytes(bytes(1000))
        os.utime(other, (0, 0))
    monkeypatch.setattr(cache, "MOST_BYTES", 500)
    cache.store(KEY, b"code")
    assert cache.load(KEY) == b"code"
    assert place.stat().st_mode & 0o777 == 0o755
    assert all(other.exists() for other in others)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_refused_with_one_warning(place, mode):
    cache.store(KEY, b"code")
    place.chmod(mode)
    with pytest.warns(RuntimeWarning, match=re.escape(str(place))):
        assert cache.load(KEY) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.load(KEY) is None
        cache.store("1" * 64, b"more")
    assert [file.name for file in place.glob("*.o")] == [f"{KEY}.o"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["folder", "file"])
def test_what_belongs_to_others_is_refused(place, name):
    cache.store(KEY, b"code")
    os.chown(place if name == "folder" else place / f"{KEY}.o", 12345, 12345)
    if name == "folder":
        with pytest.warns(RuntimeWarning, match="not a folder of this user"):
            assert cache.load(KEY) is None
    else:
        assert cache.load(KEY) is None


def test_a_file_that_others_can_write_to_is_not_loaded(place):
    cache.store(KEY, b"code")
    (place / f"{KEY}.o").chmod(0o666)
    assert cache.load(KEY) is None
    cache.store(KEY, b"code")
    assert cache.load(KEY) == b"code"


def test_only_regular_files_of_the_folder_are_loaded(place, tmp_path):
    cache.store(KEY, b"code")
    file = place / f"{KEY}.o"
    outside = tmp_path / "elsewhere"
    file.rename(outside)
    file.symlink_to(outside)
    assert cache.load(KEY) is None
    file.unlink()
    os.mkfifo(file)
    assert cache.load(KEY) is None
    file.unlink()
    file.mkdir()
    assert cache.load(KEY) is None
    file.rmdir()
    with file.open("wb") as large:
        large.truncate(2**40)
    assert cache.load(KEY) is None


def test_a_folder_that_is_a_file_or_cannot_be_made_is_no_cache(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("text")
    monkeypatch.setenv("HOGRAD_CACHE_DIR", str(file / "code"))
    cache.store(KEY, b"code")
    assert cache.load(KEY) is None
    monkeypatch.setenv("HOGRAD_CACHE_DIR", str(file))
    with pytest.warns(RuntimeWarning, match="not a folder"):
        assert cache.load(KEY) is None
    cache.store(KEY, b"code")
    assert file.read_text() == "text"
    monkeypatch.setenv("HOGRAD_CACHE_DIR", "/" + "long" * 2000)
    cache.store(KEY, b"code")
    assert cache.load(KEY) is None


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:10], lambda b: b"", lambda b: b + b"x"])
def test_damage_is_noticed_and_taken_away(place, change):
    cache.store(KEY, b"some code")
    file = place / f"{KEY}.o"
    file.write_bytes(change(file.read_bytes()))
    assert cache.load(KEY) is None
    assert not file.exists()


def test_every_flipped_bit_is_noticed(place):
    cache.store(KEY, b"some code")
    file = place / f"{KEY}.o"
    right = file.read_bytes()
    for bit in range(8 * len(right)):
        wrong = bytearray(right)
        wrong[bit // 8] ^= 1 << bit % 8
        file.write_bytes(wrong)
        assert cache.load(KEY) is None


def test_code_under_another_key_is_not_loaded(place):
    cache.store(KEY, b"code")
    (place / f"{KEY}.o").rename(place / f"{'1' * 64}.o")
    assert cache.load("1" * 64) is None


def test_relative_paths_are_not_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOGRAD_CACHE_DIR", "code")
    with pytest.warns(RuntimeWarning, match="HOGRAD_CACHE_DIR is 'code', expected an absolute path"):
        cache.store(KEY, b"code")
    assert cache.load(KEY) is None
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("HOGRAD_CACHE_DIR", "~/code")
    assert cache.folder() == tmp_path / "home" / "code"
    monkeypatch.delenv("HOGRAD_CACHE_DIR")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", "caches")
        assert cache.folder() == tmp_path / "home" / ".cache" / "hograd"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
        assert cache.folder() == tmp_path / "caches" / "hograd"
        monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "home")
    assert cache.folder() is None
    monkeypatch.setenv("HOGRAD_CACHE_DIR", "~nobody-of-this-name/code")
    assert cache.folder() is None
    cache.store(KEY, b"code")


def test_what_was_used_longest_ago_goes_first_and_only_now_and_then(place, monkeypatch):
    monkeypatch.setattr(cache, "MOST_BYTES", 2500)
    keys = [str(i) * 64 for i in range(4)]
    for i, key in enumerate(keys):
        cache.store(key, bytes(1000))
        long_ago = time.time() - 10**7 + i
        os.utime(place / f"{key}.o", (long_ago, long_ago))
    # It has been looked at a moment ago.
    assert len(list(place.glob("*.o"))) == 4
    assert cache.load(keys[0]) is not None
    for name, age in [("hograd-dead.part", 10**5), ("hograd-new.part", 0)]:
        (place / name).touch()
        os.utime(place / name, (time.time() - age,) * 2)
    os.utime(place / "hograd-pruned", (0, 0))
    cache.store("9" * 64, bytes(1000))
    assert sorted(file.name[0] for file in place.glob("*.o")) == ["0", "9"]
    assert [file.name for file in place.glob("*.part")] == ["hograd-new.part"]


def test_nothing_is_left_of_a_writer_that_an_exception_ended(place, monkeypatch):
    def ended(*args):
        raise KeyboardInterrupt

    cache.store(KEY, b"code")
    before = sorted(place.iterdir())
    monkeypatch.setattr(os, "replace", ended)
    with pytest.raises(KeyboardInterrupt):
        cache.store("1" * 64, b"code")
    assert sorted(place.iterdir()) == before

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache.store("1" * 64, b"code")
    assert sorted(place.iterdir()) == before


def test_many_processes_and_threads_write_read_and_prune_at_once(place):
    script = """
import os, random, sys
from pathlib import Path
from hograd.program.native import cache
cache.MOST_BYTES = 20000
random.seed(int(sys.argv[1]))
for i in range(150):
    key = str(random.randrange(40)) * 32
    code = key.encode() * 20
    found = cache.load(key)
    assert found in (None, code)
    cache.store(key, code)
    if i % 10 == 0:
        try:
            os.utime(cache.folder() / "hograd-pruned", (0, 0))
        except FileNotFoundError:
            pass
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.Popen([sys.executable, "-c", script, str(i)], env=environment, stderr=-1, text=True)
        for i in range(3)
    ]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert (run.returncode, errors) == (0, "")
    threads = [threading.Thread(target=cache.store, args=(KEY, b"code")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.load(KEY) == b"code"
    assert not list(place.glob("*.part"))


def test_a_disk_that_can_only_be_read_is_read(place, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    cache.store(KEY, b"code")
    os.utime(place / f"{KEY}.o", (0, 0))
    place.chmod(0o755)
    for name in ("chmod", "utime", "replace"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert cache.load(KEY) == b"code"
    cache.store("1" * 64, b"more")
    assert cache.load("1" * 64) is None
