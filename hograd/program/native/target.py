"""LLVM: the machine it compiles for, and code from text to addresses."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from hograd.program.native import cache
from hograd.program.native.objects import Code, NotLoadable


class Machine(NamedTuple):
    """The processor of this computer.

    Attributes:
        triple: what LLVM calls the system.
        cpu: name of the processor.
        features: what it can do.
        width: bytes of a vector register.
    """

    triple: str
    cpu: str
    features: str
    width: int


@functools.cache
def llvm() -> Any:
    """The bindings of LLVM, ready for this computer; they are loaded when they are first needed."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@functools.cache
def machine() -> Machine:
    """This computer, from the disk if an earlier process asked LLVM for it."""
    processor = _processor()
    key = None if processor is None else _key("machine", sys.platform, platform.machine(), processor)
    known = None if key is None else cache.load(key)
    if known is not None:
        return Machine(*json.loads(known))
    features = llvm().get_host_cpu_features()
    width = 64 if features.get("avx512f") else 32 if features.get("avx2") else 16
    found = Machine(llvm().get_default_triple(), llvm().get_host_cpu_name(), features.flatten(), width)
    if key is not None:
        cache.store(key, json.dumps(found).encode())
    return found


def _processor() -> str | None:
    """What the system says that its first processor is and can do; None where it does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return None
    # The others change from time to time.
    names = ("vendor", "cpu family", "model", "stepping", "flags", "CPU ", "Features")
    return "\n".join(line for line in text.splitlines() if line.startswith(names)) or None


def _target() -> Any:
    this = machine()
    target = llvm().Target.from_triple(this.triple)
    return target.create_target_machine(cpu=this.cpu, features=this.features, opt=2, jit=True)


def _compiled(text: str) -> bytes:
    with _compiling:
        return _emitted(text)


def _emitted(text: str) -> bytes:
    target = _target()
    module = llvm().parse_assembly(text)
    module.verify()
    module.triple, module.data_layout = machine().triple, str(target.target_data)
    options = llvm().create_pipeline_tuning_options(speed_level=2)
    # The loops are written for vectors already.
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm().create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    return target.emit_object(module)


#: Is held while LLVM is at work. A process is forked when it is not: the locks within LLVM are then free in the child.
_compiling = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_compiling.acquire, after_in_parent=_compiling.release, after_in_child=_compiling.release
    )


class Library:
    """Machine code of a module, from the disk if an earlier process compiled it."""

    def __init__(self, text: str) -> None:
        key = _key(text, *map(str, machine()))
        stored = cache.load(key)
        if stored is not None:
            # What LLVM refuses is compiled anew.
            with contextlib.suppress(RuntimeError):
                self.code = _loaded(stored)
                return
        code = _compiled(text)
        cache.store(key, code)
        self.code = _loaded(code)

    def address(self, name: str) -> int:
        """Where a function begins."""
        return self.code.address(name)


def _loaded(code: bytes) -> Any:
    try:
        return Code(code)
    except NotLoadable:
        return _Engine(code)


class _Engine:
    """Machine code that LLVM loads."""

    def __init__(self, code: bytes) -> None:
        with _compiling:
            self.engine = llvm().create_mcjit_compiler(llvm().parse_assembly(""), _target())
            self.engine.add_object_file(llvm().ObjectFileRef.from_data(code))
            self.engine.finalize_object()

    def address(self, name: str) -> int:
        return self.engine.get_function_address(name)


def _key(*parts: str) -> str:
    import llvmlite

    version = sys.modules["hograd"].__version__
    return hashlib.sha256("\0".join([*parts, version, llvmlite.__version__]).encode()).hexdigest()
