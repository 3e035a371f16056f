"""Machine code on disk and in memory."""

import ctypes
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from hograd.program.native import objects, target

LOADED_HERE = sys.platform == "linux" and platform.machine() == "x86_64"


def test_code_is_kept_on_disk_and_damage_is_noticed(tmp_path):
    script = (
        "import hograd as ho, hograd.program.native.target as target\n"
        "made = []\n"
        "compiled = target._compiled\n"
        "target._compiled = lambda text: made.append(text) or compiled(text)\n"
        "f = ho.compile(lambda x: (x * 2).exp().sum(), backend='native')\n"
        "assert abs(f(ho.zeros(3)).item() - 3) < 1e-12\n"
        "import sys\n"
        "print(len(made), int('llvmlite.binding' in sys.modules))\n"
    )

    def compilations():
        environment = {
            **os.environ,
            "HOGRAD_CACHE_DIR": str(tmp_path / "code"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        made, loaded = map(int, done.stdout.split())
        # LLVM takes more memory and time than what it has compiled: who compiles nothing does not load it.
        assert loaded == (made > 0) or not LOADED_HERE
        return made

    assert compilations() > 0
    assert compilations() == 0
    for file in (tmp_path / "code").iterdir():
        file.write_bytes(file.read_bytes()[:-5] + b"wrong")
    assert compilations() > 0
    assert compilations() == 0


@pytest.mark.skipif(not LOADED_HERE, reason="LLVM loads the code of other systems")
def test_code_is_loaded_as_llvm_does_it(monkeypatch):
    text = """
    @table = private constant [3 x double] [double 1.5, double 2.5, double 4.5]
    declare double @llvm.pow.f64(double, double)
    declare double @llvm.sin.f64(double)
    define double @inner(double %x) noinline {
      %y = call double @llvm.sin.f64(double %x)
      ret double %y
    }
    define double @outer(double %x, i64 %i) {
      %at = getelementptr [3 x double], ptr @table, i64 0, i64 %i
      %c = load double, ptr %at
      %p = call double @llvm.pow.f64(double %x, double %c)
      %s = call double @inner(double %p)
      ret double %s
    }
    """
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_int64)

    def answers():
        library = target.Library(text)
        function = kind(library.address("outer"))
        return type(library.code).__name__, [function(0.7 + i, i) for i in range(3)]

    def refused(data):
        raise objects.NotLoadable

    ours, found = answers()
    assert ours == "Code"
    np.testing.assert_allclose(found, [np.sin((0.7 + i) ** c) for i, c in enumerate([1.5, 2.5, 4.5])], rtol=1e-14)
    monkeypatch.setattr(target, "Code", refused)
    theirs, expected = answers()
    assert theirs != "Code"
    assert found == expected


@pytest.mark.skipif(not LOADED_HERE, reason="LLVM loads the code of other systems")
def test_what_is_no_code_is_not_loaded():
    code = target._compiled("define double @f(double %x) { ret double %x }")
    assert objects.Code(code).address("f")
    unknown = target._compiled("declare void @nobody_knows() define void @f() { call void @nobody_knows() ret void }")
    for wrong in (b"", code[:100], b"MZ" + code[2:], code[:18] + b"\xb7" + code[19:], unknown):
        with pytest.raises(objects.NotLoadable):
            objects.Code(wrong)
