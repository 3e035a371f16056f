"""The functions that run segments and loops, as LLVM IR, and the tables that they read."""

from __future__ import annotations

import ctypes

#: Where an array keeps the address of its elements: behind what every object has.
DATA = object.__basicsize__

#: A segment: the number of addresses that its functions take; for each address its base, the bytes from there, between
#: elements of the batch, and between chunks of it; the number of calls, their functions, and where the addresses of
#: each begin; the length of the batch, and of a chunk; memory that is 0 when a chunk begins, as addresses and bytes.
SEGMENT = (
    "count", "sources", "offsets", "steps", "parts", "calls", "functions", "starts", "batch", "chunk", "zeroed", "zeros"
)  # fmt: skip

#: A sequence: how often it runs; its items, and for each whether it is a sequence itself; what is done before the first
#: time: bases that are others with an offset, and memory that is copied; what is done after each time: memory that is
#: copied, and bases that move.
SEQUENCE = (
    "times", "items", "kinds", "places",
    "bound", "bindings", "begun", "beginnings",
    "copied", "copies", "moved", "moves",
)  # fmt: skip


def _fields(names: tuple[str, ...], block: str) -> str:
    """Loads of all fields of a block."""
    lines = []
    for i, name in enumerate(names):
        lines.append(f"  %{name}.at = getelementptr i64, ptr %{block}, i64 {i}")
        kind = "ptr" if name.endswith("s") and name not in ("times", "items", "calls") else "i64"
        lines.append(f"  %{name} = load {kind}, ptr %{name}.at")
    return "\n".join(lines)


def _each(name: str, count: str, body: str, then: str) -> str:
    """A loop over the entries of a table; the body has the number of the entry as %NAME."""
    return f"""
  br label %{name}.begin
{name}.begin:
  %{name}.some = icmp ne i64 %{count}, 0
  br i1 %{name}.some, label %{name}.loop, label %{then}
{name}.loop:
  %{name} = phi i64 [ 0, %{name}.begin ], [ %{name}.next, %{name}.end ]
{body}
  br label %{name}.end
{name}.end:
  %{name}.next = add i64 %{name}, 1
  %{name}.more = icmp ult i64 %{name}.next, %{count}
  br i1 %{name}.more, label %{name}.loop, label %{then}
{then}:
"""


def _columns(name: str, table: str, count: int) -> str:
    """The numbers of one entry of a table with `count` columns, as %NAME.0 and so on."""
    lines = [
        f"  %{name}.row = mul i64 %{name}, {count}",
        f"  %{name}.first = getelementptr i64, ptr %{table}, i64 %{name}.row",
    ]
    for i in range(count):
        lines.append(f"  %{name}.{i}.at = getelementptr i64, ptr %{name}.first, i64 {i}")
        lines.append(f"  %{name}.{i} = load i64, ptr %{name}.{i}.at")
    return "\n".join(lines)


#: Take a chunk of the batch, lay its addresses out, call all functions for one element after another, and so on until
#: no chunk is left; several threads may do so with one counter.
_RUN = f"""
define void @run(ptr %segment, ptr %bases, ptr %table, ptr %counter) nounwind {{
entry:
{_fields(SEGMENT, "segment")}
  br label %next
next:
  %number = atomicrmw add ptr %counter, i64 1 monotonic
  %low = mul i64 %number, %chunk
  %left = icmp ult i64 %low, %batch
  br i1 %left, label %some, label %done
some:
  %low.end = add i64 %low, %chunk
  %high = call i64 @llvm.umin.i64(i64 %low.end, i64 %batch)
  br label %fill
fill:
  %a = phi i64 [ 0, %some ], [ %a.next, %fill ]
  %a.source.at = getelementptr i64, ptr %sources, i64 %a
  %a.source = load i64, ptr %a.source.at
  %a.base.at = getelementptr i64, ptr %bases, i64 %a.source
  %a.base = load i64, ptr %a.base.at
  %a.offset.at = getelementptr i64, ptr %offsets, i64 %a
  %a.offset = load i64, ptr %a.offset.at
  %a.step.at = getelementptr i64, ptr %steps, i64 %a
  %a.step = load i64, ptr %a.step.at
  %a.part.at = getelementptr i64, ptr %parts, i64 %a
  %a.part = load i64, ptr %a.part.at
  %a.stepped = mul i64 %a.step, %low
  %a.parted = mul i64 %a.part, %number
  %a.moved = add i64 %a.stepped, %a.parted
  %a.sum = add i64 %a.base, %a.offset
  %a.address = add i64 %a.sum, %a.moved
  %a.place = getelementptr i64, ptr %table, i64 %a
  store i64 %a.address, ptr %a.place
  %a.next = add i64 %a, 1
  %a.more = icmp ult i64 %a.next, %count
  br i1 %a.more, label %fill, label %clear
clear:
{
    _each(
        "zero",
        "zeroed",
        f'''{_columns("zero", "zeros", 2)}
  %zero.place = getelementptr ptr, ptr %table, i64 %zero.0
  %zero.address = load ptr, ptr %zero.place
  call void @llvm.memset.p0.i64(ptr %zero.address, i8 0, i64 %zero.1, i1 false)''',
        "cleared",
    )
}
  br label %element
element:
  %b = phi i64 [ %low, %cleared ], [ %b.next, %moved ]
  br label %call
call:
  %c = phi i64 [ 0, %element ], [ %c.next, %call ]
  %c.function.at = getelementptr ptr, ptr %functions, i64 %c
  %c.function = load ptr, ptr %c.function.at
  %c.start.at = getelementptr i64, ptr %starts, i64 %c
  %c.start = load i64, ptr %c.start.at
  %c.table = getelementptr i64, ptr %table, i64 %c.start
  call void %c.function(ptr %c.table)
  %c.next = add i64 %c, 1
  %c.more = icmp ult i64 %c.next, %calls
  br i1 %c.more, label %call, label %after
after:
  %b.next = add i64 %b, 1
  %b.more = icmp ult i64 %b.next, %high
  br i1 %b.more, label %move, label %next
move:
  %m = phi i64 [ 0, %after ], [ %m.next, %move ]
  %m.place = getelementptr i64, ptr %table, i64 %m
  %m.address = load i64, ptr %m.place
  %m.step.at = getelementptr i64, ptr %steps, i64 %m
  %m.step = load i64, ptr %m.step.at
  %m.sum = add i64 %m.address, %m.step
  store i64 %m.sum, ptr %m.place
  %m.next = add i64 %m, 1
  %m.more = icmp ult i64 %m.next, %count
  br i1 %m.more, label %move, label %moved
moved:
  br label %element
done:
  ret void
}}
"""


def _copy(name: str, table: str) -> str:
    """Copy memory: the base and offset that it goes to and comes from, and the bytes."""
    return f"""{_columns(name, table, 5)}
  %{name}.to.at = getelementptr ptr, ptr %bases, i64 %{name}.0
  %{name}.to.base = load ptr, ptr %{name}.to.at
  %{name}.to = getelementptr i8, ptr %{name}.to.base, i64 %{name}.1
  %{name}.from.at = getelementptr ptr, ptr %bases, i64 %{name}.2
  %{name}.from.base = load ptr, ptr %{name}.from.at
  %{name}.from = getelementptr i8, ptr %{name}.from.base, i64 %{name}.3
  call void @llvm.memmove.p0.p0.i64(ptr %{name}.to, ptr %{name}.from, i64 %{name}.4, i1 false)"""


_SEQUENCE = f"""
define void @sequence(ptr %block, ptr %bases, ptr %table) nounwind {{
entry:
  %counter = alloca i64
{_fields(SEQUENCE, "block")}
{
    _each(
        "bind",
        "bound",
        f'''{_columns("bind", "bindings", 3)}
  %bind.from.at = getelementptr i64, ptr %bases, i64 %bind.1
  %bind.from = load i64, ptr %bind.from.at
  %bind.sum = add i64 %bind.from, %bind.2
  %bind.to = getelementptr i64, ptr %bases, i64 %bind.0
  store i64 %bind.sum, ptr %bind.to''',
        "bound.end",
    )
}
{_each("start", "begun", _copy("start", "beginnings"), "begun.end")}
  br label %time
time:
  %t = phi i64 [ 0, %begun.end ], [ %t.next, %time.end ]
{
    _each(
        "item",
        "items",
        '''  %item.kind.at = getelementptr i64, ptr %kinds, i64 %item
  %item.kind = load i64, ptr %item.kind.at
  %item.block.at = getelementptr ptr, ptr %places, i64 %item
  %item.block = load ptr, ptr %item.block.at
  %item.is = icmp eq i64 %item.kind, 0
  br i1 %item.is, label %segment, label %inner
segment:
  store i64 0, ptr %counter
  call void @run(ptr %item.block, ptr %bases, ptr %table, ptr %counter)
  br label %item.done
inner:
  call void @sequence(ptr %item.block, ptr %bases, ptr %table)
  br label %item.done
item.done:''',
        "items.end",
    )
}
{_each("back", "copied", _copy("back", "copies"), "copied.end")}
{
    _each(
        "shift",
        "moved",
        f'''{_columns("shift", "moves", 2)}
  %shift.at = getelementptr i64, ptr %bases, i64 %shift.0
  %shift.before = load i64, ptr %shift.at
  %shift.sum = add i64 %shift.before, %shift.1
  store i64 %shift.sum, ptr %shift.at''',
        "moved.end",
    )
}
  br label %time.end
time.end:
  %t.next = add i64 %t, 1
  %t.more = icmp ult i64 %t.next, %times
  br i1 %t.more, label %time, label %done
done:
  ret void
}}
"""

#: The addresses of the elements of arrays.
_ENTER = f"""
define void @enter(ptr %bases, ptr %objects, i64 %count) nounwind {{
entry:
{
    _each(
        "object",
        "count",
        f'''  %object.place = getelementptr ptr, ptr %objects, i64 %object
  %object.value = load ptr, ptr %object.place
  %object.data = getelementptr i8, ptr %object.value, i64 {DATA}
  %object.address = load i64, ptr %object.data
  %object.base = getelementptr i64, ptr %bases, i64 %object
  store i64 %object.address, ptr %object.base''',
        "done",
    )
}
  ret void
}}
"""

TEXT = f"""
declare i64 @llvm.umin.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
{_RUN}
{_SEQUENCE}
{_ENTER}
"""

_POINTER = ctypes.c_void_p
RUN = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _POINTER, _POINTER)
SEQUENCE_CALL = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _POINTER)
ENTER = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, ctypes.c_int64)
