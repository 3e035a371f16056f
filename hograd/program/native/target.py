"""LLVM: the machine it compiles for, and code from text to addresses."""

from __future__ import annotations

import functools
import hashlib
from typing import Any, NamedTuple

from hograd.program.native import cache


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
    """This computer."""
    features = llvm().get_host_cpu_features()
    width = 64 if features.get("avx512f") else 32 if features.get("avx2") else 16
    return Machine(llvm().get_default_triple(), llvm().get_host_cpu_name(), features.flatten(), width)


def _target() -> Any:
    this = machine()
    target = llvm().Target.from_triple(this.triple)
    return target.create_target_machine(cpu=this.cpu, features=this.features, opt=2, jit=True)


def _compiled(text: str) -> bytes:
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


class Library:
    """Machine code of a module, from the disk if an earlier process compiled it."""

    def __init__(self, text: str) -> None:
        import llvmlite

        parts = [text, *map(str, machine()), llvmlite.__version__]
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        code = cache.load(key)
        if code is None:
            code = _compiled(text)
            cache.store(key, code)
        self.engine = llvm().create_mcjit_compiler(llvm().parse_assembly(""), _target())
        self.engine.add_object_file(llvm().ObjectFileRef.from_data(code))
        self.engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        return self.engine.get_function_address(name)
