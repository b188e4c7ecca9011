"""Computes the bytes that a compiled program moves between chips, and to and from HBM, from its HLO text.

XLA's count includes on-chip memory, so it is too high for TPUs.
"""

import functools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# Instructions that read a part of their first operand.
PARTS = ("gather", "slice", "dynamic-slice")
# Instructions that do not move bytes.
FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id")
ARRAY = re.compile(r"\b(pred|bf16|[suf]\d+|f8e\w+|c64|c128)\[([\d,]*)\](?:\{([^}]*)\})?")
ON_CHIP = re.compile(r"S\([1-9]\d*\)")  # a layout's memory space other than HBM
SCRATCH = re.compile(r"\bs8\[\d+\]|\bu8\[\d+\]")
TRIPS = r'"known_trip_count":\{"n":"(\d+)"'
CHANNEL = r"channel_id=(\d+)"  # an attribute of collectives
CALLS = r"calls=%?([\w.-]+)"  # an attribute of fusions


class Traffic(NamedTuple):
    """The number of collectives of one kind, and the bytes that they gather, reduce or exchange."""

    count: int
    bytes: int


class Instruction(NamedTuple):
    name: str
    type: str
    op: str
    operands: tuple[str, ...]  # names
    line: str

    def attribute(self, pattern: str) -> str:
        """The text of a pattern's group in the line; '' without a match."""
        match = re.search(pattern, self.line)
        return match.group(1) if match else ""


class Module(NamedTuple):
    """The instructions of a program's computations by name, and the name of its entry computation."""

    computations: Mapping[str, list[Instruction]]
    entry: str


def module(text: str) -> Module:
    """Parse an HLO text."""
    return Module(computations(text), re.search(r"^ENTRY %?([\w.-]+)", text, re.MULTILINE).group(1))


def collectives(program: Module) -> dict[str, Traffic]:
    """The collectives of a program by kind.

    The TPU compiler hides parts of a collective behind several fusions, and repeats it in each of them. Collectives of the
    same channel (`jax.shard_map` has one for all), operation and size count once.
    """
    trips = _trips(program.computations, program.entry)
    runs: dict[tuple[str, str, str, int], int] = {}
    for computation, kind, instruction, types in _exchanges(program):
        operands, result = sum(map(bytes_of, types)), bytes_of(instruction.type)
        if instruction.op.endswith("-start") and kind != "all-reduce":
            result -= operands  # its result is a tuple of both
        key = kind, instruction.attribute(CHANNEL), instruction.attribute(r'op_name="([^"]*)"'), max(operands, result)
        runs[key] = trips.get(computation, 1)
    return {
        kind: Traffic(sum(kind_runs.values()), sum(size * count for (*_, size), count in kind_runs.items()))
        for kind in COLLECTIVES
        if (kind_runs := {key: count for key, count in runs.items() if key[0] == kind})
    }


def exchanged(program: Module) -> set[tuple[str, str]]:
    """The kinds and arrays of a program's collectives, such as ('all-gather', 'f32[8,4]')."""
    return {
        (kind, shape)
        for _, kind, instruction, types in _exchanges(program)
        for type in (*types, instruction.type)
        for shape in _shapes(type)
    }


def _exchanges(program: Module) -> Iterator[tuple[str, str, Instruction, list[str]]]:
    """Each collective: the name of its computation, its kind, the instruction, and the types of its operands."""
    types = {i.name: i.type for lines in program.computations.values() for i in lines}
    for computation, lines in program.computations.items():
        for i in lines:
            kind = i.op.removesuffix("-start")
            if kind in COLLECTIVES and i.attribute(CHANNEL):
                yield computation, kind, i, [types[name] for name in i.operands if name in types]


def _trips(computations: Mapping[str, list[Instruction]], start: str, times: int = 1) -> dict[str, int]:
    """The number of runs per step of each computation that `start` reaches by loops and calls."""
    trips = {start: times}
    for i in computations[start]:
        for name in re.findall(r"(?:body|to_apply|calls)=%?([\w.-]+)", i.line):
            if name in computations:
                factor = int(i.attribute(TRIPS) or 1) if i.op == "while" else 1
                trips |= _trips(computations, name, times * factor)
    return trips


def hbm_traffic(program: Module, cache: int = 0) -> list[tuple[Instruction, int]]:
    """The bytes that each instruction of a program moves to and from HBM: its operands and results in HBM.

    A loop counts as one instruction. With a cache of this number of bytes, the result is a lower bound: an array that fits in
    the cache moves only if it is a parameter of the program, which is read once, or a result, which is written once. A larger
    array moves each time: when it is read from its beginning, the cache has its end.
    """
    entry = program.computations[program.entry]
    return [*_moved(entry, program.computations, cache), *(_moved_once(entry, cache) if cache else ())]


def _moved_once(entry: Iterable[Instruction], cache: int) -> Iterator[tuple[Instruction, int]]:
    """Each parameter that an instruction reads, and the program's results, with the bytes of arrays that fit in the cache.

    A parameter that is a result as well, such as a frozen weight, is not written.
    """
    types = {i.name: i.type for i in entry}
    root = next(i for i in entry if i.line.lstrip().startswith("ROOT "))
    operands = {name for i in entry if i.op != "tuple" for name in i.operands}
    parameters = [i for i in entry if i.op == "parameter"]
    parameter_names = {i.name for i in parameters}
    results = (
        [types[name] for name in root.operands if name not in parameter_names] if root.op == "tuple" else [root.type]
    )
    for i, moved_types in (*((i, [i.type]) for i in parameters if i.name in operands), (root, results)):
        yield i, sum(bytes_of(type) - bytes_of(type, threshold=cache) for type in moved_types)


def _moved(
    instructions: Iterable[Instruction], computations: Mapping[str, list[Instruction]], cache: int
) -> Iterator[tuple[Instruction, int]]:
    in_hbm = functools.partial(bytes_of, in_hbm=True, threshold=cache)
    types = {i.name: i.type for i in instructions}
    hidden: set[str] = set()  # collectives that are hidden behind fusions
    for i in instructions:
        if i.op in FREE or i.op.endswith("-done"):
            continue
        if i.op in ("while", "call"):
            computation = i.attribute(r"(?:body|to_apply)=%?([\w.-]+)")
            size = sum(number for _, number in _moved(computations[computation], computations, cache))
            yield i, int(i.attribute(TRIPS) or 1) * size
        elif i.op == "slice-start":  # it reads only the slice of its operand
            yield i, min(bytes_of(array) for array in arrays(i.type) if "[]" not in array)
        else:
            parts = _parts(i, computations) if cache and i.op == "fusion" else {}
            operands = sum(min(in_hbm(types[name]), parts.get(name, math.inf)) for name in i.operands if name in types)
            result = next(arrays(i.type)) if i.op == "copy-start" else i.type
            if i.op == "custom-call":  # a call of a GPU's library, whose results include its scratch memory
                result = SCRATCH.sub("", result)
            repetitions = map(in_hbm, _carried_again(i, types, computations, hidden)) if i.op == "fusion" else ()
            yield i, operands + in_hbm(result) - sum(repetitions)


def _parts(fusion: Instruction, computations: Mapping[str, list[Instruction]]) -> dict[str, int]:
    """The operands of which a fusion reads only parts, such as rows of an embedding, with the bytes of these parts."""
    inside = computations.get(fusion.attribute(CALLS), [])
    readers_of = lambda name: [i for i in inside if name in i.operands]  # noqa: E731
    sizes = {}
    for parameter in (i for i in inside if i.op == "parameter"):
        name, readers = parameter.name, readers_of(parameter.name)
        while [i.op for i in readers] == ["convert"]:
            name, readers = readers[0].name, readers_of(readers[0].name)
        if readers and all(i.op in PARTS and i.operands[0] == name for i in readers):
            number = int(parameter.attribute(r"parameter\((\d+)\)"))
            sizes[fusion.operands[number]] = sum(bytes_of(i.type) for i in readers)
    return sizes


def _carried_again(
    fusion: Instruction, types: Mapping[str, str], computations: Mapping[str, list[Instruction]], hidden: set[str]
) -> list[str]:
    """The types of buffers that a fusion only passes on, from collectives that were counted with earlier fusions.

    The buffers of a hidden collective are operands and results of each fusion that hides it.
    """
    instructions = computations.get(fusion.attribute(CALLS), [])
    types_again: list[str] = []
    for i in instructions:
        if i.op not in COLLECTIVES:
            continue
        key = re.sub(r"\.\d+$", "", i.name) + i.attribute(CHANNEL) + _shapes(i.type)[0]
        if key in hidden:
            buffers = {*_shapes(i.type), *(s for x in instructions if x.name in i.operands for s in _shapes(x.type))}
            fusion_types = [*(types[name] for name in fusion.operands if name in types), fusion.type]
            types_again += [array for type in fusion_types for array in arrays(type) if _shapes(array)[0] in buffers]
        hidden.add(key)
    return types_again


def _shapes(type: str) -> list[str]:
    """The arrays of a type without their layouts."""
    return [array.split("{")[0] for array in arrays(type)]


def computations(text: str) -> dict[str, list[Instruction]]:
    """The instructions of each computation, by its name."""
    blocks: dict[str, list[Instruction]] = {}
    for line in text.splitlines():
        if match := re.match(r"(?:ENTRY )?%?([\w.-]+) (?:\(.*\) -> .*)?\{$", line):
            blocks[match.group(1)] = block = []
        elif " = " in line and blocks:
            block.append(parse(line))
    return blocks


def parse(line: str) -> Instruction:
    """An instruction, such as '%sum.1 = f32[8]{0} add(%a, %b), metadata={...}'."""
    name, _, content = line.strip().removeprefix("ROOT ").partition(" = ")
    end = _closing(content) + 1 if content.startswith("(") else content.index(" ")
    op, _, arguments = content[end:].strip().partition("(")
    operands = re.findall(r"%([\w.-]+)", arguments[: _closing("(" + arguments) - 1])
    return Instruction(name.lstrip("%"), content[:end], op, tuple(operands), line)


def _closing(text: str) -> int:
    """The index of the parenthesis that closes the one at the beginning of `text`."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place
    raise ValueError(f"unclosed parenthesis in {text[:80]}")


def arrays(type: str) -> Iterator[str]:
    """The arrays of a type, which may be a tuple."""
    return (match.group(0) for match in ARRAY.finditer(type))


def bytes_of(type: str, in_hbm: bool = False, threshold: int = 0) -> int:
    """The bytes of the arrays of a type that each have more than `threshold` bytes; if `in_hbm`, only of those in HBM."""
    total = 0
    for kind, sizes, layout in (match.groups() for match in ARRAY.finditer(type)):
        if not (in_hbm and ON_CHIP.search(layout or "")):
            bits = 8 if kind == "pred" or kind.startswith("f8") else int(re.search(r"\d+", kind).group(0))
            size = math.prod(int(size) for size in sizes.split(",") if size) * bits // 8
            total += size if size > threshold else 0
    return total
