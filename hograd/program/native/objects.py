"""Machine code from object files to memory, without the compiler: what most processes need of it.

LLVM's library alone takes 45 MB and longer to load than all that it compiled for a program.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import struct
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

#: Kinds of sections, from the specification of ELF.
_CODE, _SYMBOLS, _RELOCATIONS, _ZEROS, _WITHOUT_ADDENDS = 1, 2, 4, 8, 9

#: A section that lies in memory; a file to be linked; x86-64; an address of 64 bits.
_ALLOCATED, _TO_BE_LINKED, _X86_64, _ADDRESS = 2, 1, 62, 1


class NotLoadable(Exception):
    """Code of another kind, or on a system of another kind: LLVM loads it."""


class Section(NamedTuple):
    """An entry of the table of sections."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


class ObjectFile:
    """What an ELF file for x86-64 says that has not been linked."""

    def __init__(self, data: bytes) -> None:
        kind, machine = struct.unpack_from("<HH", data, 16)
        if data[:6] != b"\x7fELF\x02\x01" or (kind, machine) != (_TO_BE_LINKED, _X86_64):
            raise NotLoadable("no object for x86-64")
        (table,), (entry, count) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<HH", data, 58)
        self.data = data
        self.sections = [Section(*struct.unpack_from("<IIQQQQIIQQ", data, table + entry * i)) for i in range(count)]

    def symbols(self) -> Iterator[tuple[str, int, int]]:
        """Name, section and place within it of every symbol."""
        table = next(section for section in self.sections if section.kind == _SYMBOLS)
        strings = self.sections[table.link].offset
        for at in range(table.offset, table.offset + table.size, 24):
            name, _, _, home, value, _ = struct.unpack_from("<IBBHQQ", self.data, at)
            end = self.data.index(b"\0", strings + name)
            yield self.data[strings + name : end].decode(), home, value

    def relocations(self) -> Iterator[tuple[int, int, int, int]]:
        """Where an address belongs (section and place within it), of which symbol, and what is added to it."""
        for section in self.sections:
            if section.kind == _WITHOUT_ADDENDS:
                raise NotLoadable("relocations of another kind")
            if section.kind != _RELOCATIONS or not self.sections[section.info].flags & _ALLOCATED:
                continue
            for at in range(section.offset, section.offset + section.size, 24):
                offset, info, addend = struct.unpack_from("<QQq", self.data, at)
                if info & 0xFFFFFFFF != _ADDRESS:
                    raise NotLoadable(f"a relocation of kind {info & 0xFFFFFFFF}")
                yield section.info, offset, info >> 32, addend


class Code:
    """The functions of a relocatable object: an ELF file for x86-64 whose references are addresses of 64 bits.

    Args:
        data: the file.

    Raises:
        NotLoadable: it is something else, refers to what this process does not have, or memory cannot be executed.
    """

    def __init__(self, data: bytes) -> None:
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise NotLoadable("only Linux on x86-64 is known here")
        try:
            self._load(ObjectFile(data))
        except (struct.error, ValueError, IndexError, StopIteration, OSError) as error:
            raise NotLoadable(str(error)) from error

    def _load(self, file: ObjectFile) -> None:
        places: dict[int, int] = {}
        size = 0
        for i, section in enumerate(file.sections):
            if section.flags & _ALLOCATED and section.size:
                if section.kind not in (_CODE, _ZEROS):
                    raise NotLoadable(f"a section of kind {section.kind}")
                places[i] = -(-size // section.alignment) * section.alignment
                size = places[i] + section.size
        # Held as long as the code may run.
        self.memory = mmap.mmap(-1, max(size, 1), prot=mmap.PROT_READ | mmap.PROT_WRITE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for i, place in places.items():
            section = file.sections[i]
            if section.kind == _CODE:
                self.memory[place : place + section.size] = file.data[section.offset : section.offset + section.size]
        symbols = [
            (name, base + places[home] + value if home in places else 0 if home else None)
            for name, home, value in file.symbols()
        ]
        for home, offset, number, addend in file.relocations():
            name, address = symbols[number]
            address = _known(name) if address is None else address
            if not address:
                raise NotLoadable(f"{name} lies in no section")
            struct.pack_into("<Q", self.memory, places[home] + offset, address + addend)
        self.addresses = {name: address for name, address in symbols if name and address}
        if _protect()(base, len(self.memory), mmap.PROT_READ | mmap.PROT_EXEC):
            raise NotLoadable("memory cannot be executed")

    def address(self, name: str) -> int:
        """Where a function begins."""
        return self.addresses[name]


@functools.cache
def _known(name: str) -> int:
    """Where a function of the C library lies."""
    try:
        address = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
    except AttributeError:
        address = None
    if not address:
        raise NotLoadable(f"{name} is not known")
    return address


@functools.cache
def _protect() -> Any:
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return protect
