"""Parameters of the published models, for `evaluate --list`.

    nice python scripts/benchmark/published_sizes.py

Fills the column `parameters` of cliptail_jax/pretrained/published.tsv where it is empty.
"""

import csv

import jax
from flax import nnx

from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import tsv
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.open_clip import named_architecture, named_encoder
from cliptail_jax.pretrained.published import TABLE


def main() -> None:
    with open(TABLE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        row["parameters"] = row["parameters"] or str(count_parameters(row["name"].split("/")[0]))
    write_text(TABLE, tsv(rows[0], (row.values() for row in rows)))


def count_parameters(architecture: str) -> int:
    """Those of one of open_clip's architectures."""
    config = named_architecture(architecture)
    description = {"model_cfg": config, "encoder": named_encoder(config["text_cfg"].get("hf_model_name") or "")}
    return sum(x.size for x in jax.tree.leaves(nnx.state(abstract_model(description), nnx.Param)))


if __name__ == "__main__":
    main()
