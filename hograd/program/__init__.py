"""Capture and replay: a function run once becomes a flat program, which runs without Python's overhead."""

from hograd.program.compile import Compiled, compile
from hograd.program.ir import Instruction, Literal, Program

__all__ = ["Compiled", "Instruction", "Literal", "Program", "compile"]
