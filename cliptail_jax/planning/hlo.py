"""What a compiled program moves, read from the text of its HLO: between chips, and from and to HBM.

XLA's own count of bytes includes on-chip memory, and so is too high for TPUs.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# Instructions that move nothing by themselves.
FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id")
ARRAY = re.compile(r"\b(pred|bf16|[suf]\d+|f8e\w+|c64|c128)\[([\d,]*)\](?:\{([^}]*)\})?")
ON_CHIP = re.compile(r"S\([1-9]\d*\)")  # a layout's memory space other than HBM
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


class Traffic(NamedTuple):
    """Collectives of one kind: their number, and the bytes of a chip that they gather, reduce or exchange."""

    count: int
    bytes: int

    def times(self, devices: int) -> "Traffic":
        """The traffic of a chip with so many devices."""
        return Traffic(self.count, devices * self.bytes)


class Instruction(NamedTuple):
    name: str
    type: str
    op: str
    operands: tuple[str, ...]  # names
    line: str


def collectives(text: str) -> dict[str, Traffic]:
    """The collectives of a program by their kinds.

    Each counts once, by its channel: the TPU compiler repeats one in every fusion that a part of it is hidden behind.
    """
    instructions = {i.name: i for lines in computations(text).values() for i in lines}
    by_channel: dict[str, tuple[str, int]] = {}
    for instruction in instructions.values():
        kind = instruction.op.removesuffix("-start")
        channel = re.search(r"channel_id=(\d+)", instruction.line)
        if kind not in COLLECTIVES or channel is None:
            continue
        operands = sum(bytes_of(instructions[name].type) for name in instruction.operands if name in instructions)
        result = bytes_of(instruction.type)
        if instruction.op.endswith("-start") and kind != "all-reduce":
            result -= operands  # its result is a tuple of both
        by_channel[channel.group(1)] = kind, max(operands, result)
    return {
        kind: Traffic(len(sizes), sum(sizes))
        for kind in COLLECTIVES
        if (sizes := [size for of_kind, size in by_channel.values() if of_kind == kind])
    }


def hbm_bytes(text: str) -> int:
    """The bytes that a program moves from and to HBM: operands and results of its instructions that lie there."""
    by_name = computations(text)
    entry = re.search(r"^ENTRY %?([\w.-]+)", text, re.MULTILINE).group(1)
    return _moved(by_name[entry], by_name)


def _moved(instructions: Iterable[Instruction], computations: Mapping[str, list[Instruction]]) -> int:
    types, total = {i.name: i.type for i in instructions}, 0
    for i in instructions:
        if i.op in FREE or i.op.endswith("-done"):
            continue
        if i.op in ("while", "call"):
            called = re.search(r"(?:body|to_apply)=%?([\w.-]+)", i.line).group(1)
            trips = TRIPS.search(i.line)
            total += (int(trips.group(1)) if trips else 1) * _moved(computations[called], computations)
        elif i.op == "slice-start":  # of whose operand only the slice is read
            total += min(bytes_of(array) for array in arrays(i.type) if "[]" not in array)
        else:
            operands = sum(bytes_of(types[name], in_hbm=True) for name in i.operands if name in types)
            result = next(arrays(i.type)) if i.op == "copy-start" else i.type
            total += operands + bytes_of(result, in_hbm=True)
    return total


def computations(text: str) -> dict[str, list[Instruction]]:
    """The instructions of each computation, by its name."""
    found: dict[str, list[Instruction]] = {}
    for line in text.splitlines():
        if head := re.match(r"(?:ENTRY )?%?([\w.-]+) (?:\(.*\) -> .*)?\{$", line):
            found[head.group(1)] = current = []
        elif " = " in line and found:
            current.append(parse(line))
    return found


def parse(line: str) -> Instruction:
    """An instruction, such as '%sum.1 = f32[8]{0} add(%a, %b), metadata={...}'."""
    name, _, rest = line.strip().removeprefix("ROOT ").partition(" = ")
    end = _closing(rest) + 1 if rest.startswith("(") else rest.index(" ")
    op, _, arguments = rest[end:].strip().partition("(")
    operands = re.findall(r"%([\w.-]+)", arguments[: _closing("(" + arguments) - 1])
    return Instruction(name.lstrip("%"), rest[:end], op, tuple(operands), line)


def _closing(text: str) -> int:
    """Where the parenthesis that `text` begins with is closed."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place
    raise ValueError(f"an open parenthesis in {text[:80]}")


def arrays(type: str) -> Iterator[str]:
    """The arrays of a type, which may be a tuple."""
    return (match.group(0) for match in ARRAY.finditer(type))


def bytes_of(type: str, in_hbm: bool = False) -> int:
    """The bytes of the arrays of a type, or of those in HBM."""
    total = 0
    for kind, sizes, layout in (match.groups() for match in ARRAY.finditer(type)):
        if not (in_hbm and ON_CHIP.search(layout or "")):
            bits = 8 if kind == "pred" or kind.startswith("f8") else int(re.search(r"\d+", kind).group(0))
            total += math.prod(int(size) for size in sizes.split(",") if size) * bits // 8
    return total
