"""The data of a command line: the sets to prepare, and the fields of a config that select them."""

import ast
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cliptail_jax.host.errors import UserError
from cliptail_jax.open_clip.models import Fields

CSV, SHARDS = "csv", "webdataset"
SEPARATORS = ("\t", "\\t", ",")  # the table itself shows which of them it has
REMOTE = re.compile(r"pipe:|\w+://")
CAPTION = "caption"  # the field of a sample's .txt
MAX_NAME_LENGTH = 60


class Set(NamedTuple):
    """A data set that is built once, by `cliptail_jax.datasets.build.build(name, data_dir, **options)`."""

    name: str
    options: Mapping[str, str]

    @property
    def split(self) -> str:
        return "val" if "val" in self.options else "train"


def pairs_of(flag: str, values: Mapping[str, Any]) -> Set:
    """The set of pairs that --train-data or --val-data names."""
    path = values[flag]
    kind, sources = kind_of(flag, path, values["dataset_type"]), path.split("::")
    for source in sources:
        if REMOTE.match(source):
            raise UserError(
                f"--{flag.replace('_', '-')} {source}: data are read from files: copy them here, or mount them"
            )
    check_factors(values["train_data_upsampling_factors"])
    raw = sources[0] if len(sources) == 1 else f"{{{','.join(sources)}}}"
    options = {"train" if flag == "train_data" else "val": raw, "caption_columns": caption_field(kind, values)}
    if kind == CSV:
        if (separator := values["csv_separator"]) not in SEPARATORS:
            raise UserError(f"--csv-separator {separator!r} is not supported: columns are separated by tabs or commas")
        options |= {"image_column": values["csv_img_key"], "images": os.curdir}
    return Set(f"image_text/{short_name(path)}", options)


def kind_of(flag: str, path: str, dataset_type: str) -> str:
    """'csv' or 'webdataset'."""
    kind = dataset_type
    if dataset_type == "auto":
        suffix = path.rpartition(".")[2]
        kind = CSV if suffix in ("csv", "tsv") else SHARDS if "tar" in suffix else ""
    if not kind:
        raise UserError(f"--{flag.replace('_', '-')} {path} is neither a table nor shards: add --dataset-type")
    if kind not in (CSV, SHARDS):
        raise UserError(f"--dataset-type {kind} is not supported: it is {SHARDS} or {CSV}")
    return kind


def caption_field(kind: str, values: Mapping[str, Any]) -> str:
    """The field that has the captions of a set of pairs."""
    if kind == CSV:
        return values["csv_caption_key"]
    field = values["json_text_key"] or CAPTION
    if ";" in field:
        raise UserError(f"--json-text-key {field} names several fields: give one")
    return field


def check_factors(factors: str | None) -> None:
    """Raise UserError unless all upsampling factors are equal."""
    if factors and len(set(factors.split("::"))) > 1:
        raise UserError(
            f"--train-data-upsampling-factors {factors} is not supported: each pair is drawn once an epoch, so give equal "
            "factors or none"
        )


def labelled_of(path: str) -> Set:
    """The labelled set of --imagenet-val, which is a folder with a folder for each class."""
    return Set(f"image_folder/{short_name(path)}", {"val": path})


def short_name(path: str) -> str:
    """A name for the set that a path or pattern selects."""
    for suffix in (".gz", ".tar", ".tsv", ".csv", ".parquet"):
        path = path.removesuffix(suffix)
    return re.sub(r"\W+", "-", path).strip("-_")[-MAX_NAME_LENGTH:].lstrip("-") or "data"


def crop_scale(arguments: Sequence[str] | None) -> Fields:
    """The fields of --aug-cfg. Raises UserError for an augmentation that is not supported."""
    fields = {}
    for argument in arguments or ():
        name, _, value = argument.partition("=")
        if name != "scale":
            raise UserError(
                f"--aug-cfg {argument} is not supported: images are cropped at random, and not changed otherwise"
            )
        try:
            fields["data.crop_scale"] = tuple(float(share) for share in ast.literal_eval(value))
        except (ValueError, SyntaxError, TypeError):
            raise UserError(f"--aug-cfg {argument}: write a pair, as scale='(0.9, 1.0)'") from None
    return fields
