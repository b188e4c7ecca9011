"""The needs of a compiled program, from its compiler or from a cache of earlier results.

The cache is a folder in the user's cache, with files named by the hash of the program before compilation, the devices and
the versions.
"""

import contextlib
import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

import jax
from tqdm import tqdm

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of, read_json, user_cache, write_json
from cliptail_jax.host.outputs import check_writable_folder
from cliptail_jax.host.printing import one_line
from cliptail_jax.planning.hlo import Instruction, Traffic, arrays, collectives, exchanged, hbm_traffic, module

# For example "Ran out of memory in memory space hbm. Used 21.33G of 15.75G hbm." and "the total memory required for HLO
# temporaries (238.06G) exceeds available HBM (15.75G)".
OUT_OF_MEMORY = re.compile(
    r"Used ([\d.]+)(\w) of ([\d.]+)(\w) hbm|temporaries \(([\d.]+)(\w)\) exceeds available HBM \(([\d.]+)(\w)\)"
)
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50, "E": 2**60}
CACHE = "plans"  # in the user's cache
FORMAT = 5  # increment it when a plan reads other numbers from programs
# The compile time of an operation of a ResNet-50. SL has 16,000 operations, CLIP 28,000, DINO 41,000. Small networks compile
# faster.
SECONDS_ON_TPU, SECONDS_ON_GPU = 0.016, 0.002
MAX_OPERATIONS = 20  # the number of a program's operations that are listed, those that move most bytes


@dataclasses.dataclass(frozen=True)
class Program:
    """The needs of a program on each device, or on each chip.

    Attributes:
        peak: the largest number of bytes in use.
        available: bytes that the compiler may use; None if they were enough, since the compiler then does not report them.
        hbm: bytes moved from and to HBM, a lower bound if there is a cache; None if the program does not fit, in which case
            the following are empty.
        hbm_uncached: bytes that would be moved without the cache.
        collectives: number and bytes of its collectives by kind.
        exchanged: kind and type of the arrays that its collectives take and return.
        largest: the operations that move most bytes without the cache: kind and result, origin, and their shares of `hbm`
            and `hbm_uncached`.
    """

    peak: int
    available: int | None = None
    hbm: int | None = None
    hbm_uncached: int | None = None
    collectives: Mapping[str, Traffic] = dataclasses.field(default_factory=dict)
    exchanged: tuple[tuple[str, str], ...] = ()
    largest: tuple[tuple[str, str, int, int], ...] = ()

    def times(self, devices: int) -> "Program":
        """The needs of a chip with this number of devices."""
        return Program(
            devices * self.peak,
            None if self.available is None else devices * self.available,
            None if self.hbm is None else devices * self.hbm,
            None if self.hbm_uncached is None else devices * self.hbm_uncached,
            {kind: Traffic(count, devices * size) for kind, (count, size) in self.collectives.items()},
            self.exchanged,
            tuple((*operation, devices * size, devices * full_size) for *operation, size, full_size in self.largest),
        )


def compiled_program(
    lowered: jax.stages.Lowered, name: str, options: Mapping[str, Any], versions: Mapping[str, str], cache: int
) -> Program:
    """The needs of a lowered program on each device of the topology `name`.

    `options` are the compiler's options, and `cache` is the size of the device's cache in bytes, or 0. Raises UserError if
    the compiler refuses the program.
    """
    settings = [FORMAT, name, dict(options), dict(versions), os.environ.get("XLA_FLAGS", "")]
    text = lowered.as_text() + json.dumps(settings)
    path = user_cache(CACHE) / f"{digest_of([text.encode()])[:32]}.json"
    program = None
    with contextlib.suppress(OSError, UserError):  # a damaged file is replaced
        program = read_json(path, Program)
    if program is None:
        minutes = math.ceil(text.count("stablehlo.") * (SECONDS_ON_GPU if cache else SECONDS_ON_TPU) / 60)
        tqdm.write(
            f"compiling for {name}, up to {minutes} minute{'s' if minutes > 1 else ''} on two cores", file=sys.stderr
        )
        program = _compile(lowered, name, options, cache)
        with contextlib.suppress(OSError):  # otherwise it is compiled again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, dataclasses.asdict(program))
    return program


def note_missing_cache() -> None:
    """Print a note if plans cannot be cached; the cache only saves time."""
    try:
        check_writable_folder(user_cache(CACHE))
    except UserError as error:
        print(one_line(f"note: plans are not kept: {error}"), file=sys.stderr)


def _compile(lowered: jax.stages.Lowered, name: str, options: Mapping[str, Any], cache: int) -> Program:
    try:
        executable = lowered.compile(compiler_options=dict(options))
    except jax.errors.JaxRuntimeError as error:
        match = OUT_OF_MEMORY.search(str(error))
        if not match:
            raise UserError(f"{name}: the compiler refuses the program: {str(error).splitlines()[0]}") from None
        usage, used_unit, limit, limit_unit = filter(None, match.groups())
        return Program(round(float(usage) * UNITS[used_unit]), round(float(limit) * UNITS[limit_unit]))
    memory, program = executable.memory_analysis(), module(executable.as_text())
    peak = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    traffic, full_traffic = hbm_traffic(program, cache), hbm_traffic(program)
    return Program(
        peak + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes,
        hbm=sum(size for _, size in traffic),
        hbm_uncached=sum(size for _, size in full_traffic),
        collectives=collectives(program),
        exchanged=tuple(sorted(exchanged(program))),
        largest=_largest(traffic, full_traffic),
    )


def _largest(
    traffic: list[tuple[Instruction, int]], full_traffic: list[tuple[Instruction, int]]
) -> tuple[tuple[str, str, int, int], ...]:
    """The operations that move most bytes. Bytes of operations of the same kind, origin and result are summed."""
    cached_bytes, uncached_bytes = _by_operation(traffic), _by_operation(full_traffic)
    keys = sorted(uncached_bytes, key=uncached_bytes.get, reverse=True)[:MAX_OPERATIONS]
    return tuple((*key, cached_bytes.get(key, 0), uncached_bytes[key]) for key in keys)


def _by_operation(traffic: list[tuple[Instruction, int]]) -> dict[tuple[str, str], int]:
    """The bytes that operations move, by their kind and result, and by their origin."""
    sizes: dict[tuple[str, str], int] = {}
    for i, size in traffic:
        result = max(arrays(i.type), key=len, default="").split("{")[0]
        key = f"{i.op} {result}", i.attribute(r'op_name="(?:jit\(\w+\)/)?([^"]*)"')
        sizes[key] = sizes.get(key, 0) + size
    return sizes
