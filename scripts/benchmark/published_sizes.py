"""Parameters of the listed published models, and the memory of a chip that their evaluation needs, for `evaluate --list`.

    nice python scripts/benchmark/published_sizes.py [--names ARCHITECTURE,...] [--parameters]

Writes cliptail_jax/pretrained/published_sizes.json: of each architecture that it does not have yet, the number of
parameters, and, unless --parameters is given, the memory that the TPU's compiler says (minutes each), or null where it
refuses the program or crashes. The file is written anew after each. Architectures that are not supported are left out.
"""

import argparse
import importlib.metadata
import json
import os
from collections.abc import Mapping
from functools import partial

# Before JAX is imported: no chip is needed, for which libtpu would look.
os.environ |= {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "true"}
os.environ |= {"TPU_ACCELERATOR_TYPE": "v5litepod-8", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
os.environ["TPU_MIN_LOG_LEVEL"] = "3"

from tqdm import tqdm  # noqa: E402

from cliptail_jax.errors import UserError  # noqa: E402
from cliptail_jax.evaluation.published_list import (  # noqa: E402
    BATCH_SIZE,
    CHIP,
    CLASSES,
    SIZES,
    count_parameters,
    describe,
)
from cliptail_jax.files import write_text  # noqa: E402
from cliptail_jax.planning.subprocess_call import Crash, run_in_subprocess  # noqa: E402
from cliptail_jax.planning.topologies import Topology, find_topology  # noqa: E402
from cliptail_jax.planning.zero_shot import zero_shot_memory  # noqa: E402
from cliptail_jax.pretrained.published import published_models  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    listed = dict.fromkeys(model.name.split("/")[0] for model in published_models())
    parser.add_argument("--names", default=",".join(listed), help="architectures, separated by commas")
    parser.add_argument("--parameters", action="store_true", help="compile nothing")
    options = parser.parse_args()
    names = options.names.split(",")
    sizes = json.loads(SIZES.read_text()) if SIZES.exists() else {}
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "libtpu")}
    topology = find_topology(CHIP)
    for name in names:
        if name not in sizes and (parameters := run_in_subprocess(partial(count_parameters, name))) is not None:
            sizes[name] = {"parameters": parameters}
    to_compile = [] if options.parameters else [name for name in names if name in sizes]
    for name in (progress := tqdm(to_compile, disable=None)):
        progress.set_postfix_str(name)
        if "memory" not in sizes[name]:
            sizes[name]["memory"] = memory(name, topology, versions)
            write(sizes)
    write(sizes)


def memory(name: str, topology: Topology, versions: Mapping[str, str]) -> int | None:
    limits = dict(batch_size=BATCH_SIZE, classes=CLASSES)
    try:
        return run_in_subprocess(partial(zero_shot_memory, describe(name), topology, versions, **limits))
    except (UserError, Crash) as error:
        tqdm.write(f"{name}: {error}")
        return None


def write(sizes: dict[str, dict[str, int | None]]) -> None:
    lines = (f"  {json.dumps(name)}: {json.dumps(sizes[name])}" for name in sorted(sizes))
    write_text(SIZES, "{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
