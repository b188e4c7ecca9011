"""Parameters of the published models, and the memory of a chip that their evaluation needs, for `evaluate --list`.

    nice python scripts/benchmark/published_sizes.py [--names ARCHITECTURE,...] [--parameters]

Fills the columns `parameters` and `memory` of cliptail_jax/pretrained/published.tsv where they are empty: the number of
parameters, and, unless --parameters is given, the bytes that the TPU's compiler prints (minutes per architecture), or
'refused' where it refuses the program or crashes. The table is written anew after each architecture.
"""

import argparse
import csv
import importlib.metadata
import io
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

# Before JAX is imported: no chip is needed, for which libtpu would look.
os.environ |= {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "true"}
os.environ |= {"TPU_ACCELERATOR_TYPE": "v5litepod-8", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
os.environ["TPU_MIN_LOG_LEVEL"] = "3"

import jax  # noqa: E402
from flax import nnx  # noqa: E402
from tqdm import tqdm  # noqa: E402

from cliptail_jax.errors import UserError  # noqa: E402
from cliptail_jax.evaluation.published_list import BATCH_SIZE, CHIP, CLASSES  # noqa: E402
from cliptail_jax.files import write_text  # noqa: E402
from cliptail_jax.models.build import abstract_model  # noqa: E402
from cliptail_jax.models.open_clip import named_architecture, named_encoder  # noqa: E402
from cliptail_jax.planning.subprocess_call import Crash, run_in_subprocess  # noqa: E402
from cliptail_jax.planning.topologies import Topology, find_topology  # noqa: E402
from cliptail_jax.planning.zero_shot import zero_shot_memory  # noqa: E402
from cliptail_jax.pretrained.published import TABLE  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--names", default="", help="architectures, separated by commas; default: those of the lists")
    parser.add_argument("--parameters", action="store_true", help="compile nothing")
    options = parser.parse_args()
    with open(TABLE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    by_architecture: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_architecture.setdefault(row["name"].split("/")[0], []).append(row)
    listed = [name for name, models in by_architecture.items() if any(row["lists"] for row in models)]
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "libtpu")}
    topology = find_topology(CHIP)
    for name in (progress := tqdm(options.names.split(",") if options.names else listed, disable=None)):
        progress.set_postfix_str(name)
        sizes = {key: by_architecture[name][0][key] for key in ("parameters", "memory")}
        if not sizes["parameters"]:
            sizes["parameters"] = str(run_in_subprocess(partial(count_parameters, name)))
        if not sizes["memory"] and not options.parameters:
            sizes["memory"] = memory(name, topology, versions)
        for row in by_architecture[name]:
            row |= sizes
        write(rows)


def describe(architecture: str) -> dict[str, Any]:
    """The argument of `models.build.build_model` for one of open_clip's architectures."""
    config = named_architecture(architecture)
    return {"model_cfg": config, "encoder": named_encoder(config["text_cfg"].get("hf_model_name") or "")}


def count_parameters(architecture: str) -> int:
    return sum(x.size for x in jax.tree.leaves(nnx.state(abstract_model(describe(architecture)), nnx.Param)))


def memory(name: str, topology: Topology, versions: Mapping[str, str]) -> str:
    limits = dict(batch_size=BATCH_SIZE, classes=CLASSES)
    try:
        return str(run_in_subprocess(partial(zero_shot_memory, describe(name), topology, versions, **limits)))
    except (UserError, Crash) as error:
        tqdm.write(f"{name}: {error}")
        return "refused"


def write(rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0].keys(), delimiter="\t", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(TABLE, text.getvalue())


if __name__ == "__main__":
    main()
