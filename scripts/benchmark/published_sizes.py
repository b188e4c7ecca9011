"""Parameters of the listed published models, and the memory of a chip that their evaluation needs, for `evaluate --list`.

    nice python scripts/benchmark/published_sizes.py [--names ARCHITECTURE,...] [--parameters]

Writes cliptail_jax/pretrained/published_sizes.json: of each architecture that it does not have yet, the number of
parameters, and, unless --parameters is given, the memory that the TPU's compiler says (minutes each). The file is written
anew after each. Architectures that are not supported are left out.
"""

import argparse
import importlib.metadata
import json
import os

# Before JAX is imported: no chip is needed, for which libtpu would look.
os.environ |= {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "true"}
os.environ |= {"TPU_ACCELERATOR_TYPE": "v5litepod-8", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
os.environ["TPU_MIN_LOG_LEVEL"] = "3"

import jax  # noqa: E402
from flax import nnx  # noqa: E402
from tqdm import tqdm  # noqa: E402

from cliptail_jax.evaluation.published_list import BATCH_SIZE, CHIP, CLASSES, SIZES  # noqa: E402
from cliptail_jax.files import write_text  # noqa: E402
from cliptail_jax.models.build import abstract_model  # noqa: E402
from cliptail_jax.models.open_clip import architecture_names, named_architecture, named_encoder  # noqa: E402
from cliptail_jax.planning.topologies import find_topology  # noqa: E402
from cliptail_jax.planning.zero_shot import zero_shot_memory  # noqa: E402
from cliptail_jax.pretrained.published import published_models  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    listed = dict.fromkeys(model.name.split("/")[0] for model in published_models())
    parser.add_argument("--names", default=",".join(listed), help="architectures, separated by commas")
    parser.add_argument("--parameters", action="store_true", help="compile nothing")
    options = parser.parse_args()
    names = [name for name in options.names.split(",") if name in architecture_names()]
    sizes = json.loads(SIZES.read_text()) if SIZES.exists() else {}
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "libtpu")}
    topology = find_topology(CHIP)
    for name in names:
        sizes.setdefault(name, {"parameters": parameters(name)})
    for name in (progress := tqdm([] if options.parameters else names, disable=None)):
        progress.set_postfix_str(name)
        if "memory" not in sizes[name]:
            sizes[name]["memory"] = zero_shot_memory(
                describe(name), topology, versions, batch_size=BATCH_SIZE, classes=CLASSES
            )
            write(sizes)
    write(sizes)


def describe(name: str) -> dict:
    config = named_architecture(name)
    return {"model_cfg": config, "encoder": named_encoder(config["text_cfg"].get("hf_model_name") or "")}


def parameters(name: str) -> int:
    return sum(x.size for x in jax.tree.leaves(nnx.state(abstract_model(describe(name)), nnx.Param)))


def write(sizes: dict[str, dict[str, int]]) -> None:
    lines = (f"  {json.dumps(name)}: {json.dumps(sizes[name])}" for name in sorted(sizes))
    write_text(SIZES, "{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
