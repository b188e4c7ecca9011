"""Croissant metadata of a variant: a JSON-LD document that a paper can cite and a program can load.

The format is MLCommons' (https://docs.mlcommons.org/croissant), version 1.1, with its vocabulary for responsible AI and
W3C's for provenance. The document describes a table of the variant's rows, in a file beside it.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from cliptail_jax.config import fields
from cliptail_jax.config.training import Data, Selecting
from cliptail_jax.curation.joined import JoinedSource
from cliptail_jax.curation.rows import listed_classes
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.source import Source
from cliptail_jax.host.files import digest_of
from cliptail_jax.metrics.imbalance import gini, imbalance_ratio

STATED = ("name", "split", "seed")  # fields that the document states even at their defaults

# Properties that a published document should have, but that a variant lacks.
AUTHOR_FIELDS = ("creator", "datePublished", "url", "license", "citeAs")

TERMS = """
    arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet format includes
    isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate
    separator source subField transform
"""
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in TERMS.split()},
}
CATALOGUE = "https://www.tensorflow.org/datasets/catalog/"  # TFDS's default, also for sets that are not in it


def croissant(variant: Variant, data: Data, file: str, content: bytes) -> dict[str, Any]:
    """The Croissant document of a variant. It depends only on the arguments; it has no date.

    Args:
        data: the section that selects the variant.
        file: the name of the table of the variant's rows, in JSON lines.
        content: the content of the table.
    """
    fingerprint, source = variant.fingerprint(), variant.source
    splits = [(part.split, part.records.dataset_info) for part in parts_of(source)]
    sources = list({info.full_name: info for _, info in splits}.values())
    citations = dict.fromkeys(info.citation for info in sources if info.citation)
    licenses = dict.fromkeys(info.redistribution_info.license for info in sources if info.redistribution_info.license)
    document = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{source.name}:{source.split}, variant {fingerprint[:12]}",
        "description": description(variant),
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "version": f"{sources[0].version}+{fingerprint[:12]}",  # in semantic versions, the build follows the +
        "identifier": {
            "@type": "sc:PropertyValue",
            "propertyID": "fingerprint",
            "value": fingerprint,
            "description": "SHA-256 of the variant's record indices, labels and captions, as cliptail_jax computes it.",
        },
        "citeAs": "\n".join(citations),
        "license": list(licenses),
        "prov:wasDerivedFrom": [derived_from(info) for info in sources],
        "rai:dataPreprocessingProtocol": list(settings(data)),
        "rai:dataBiases": imbalance(variant),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "table",
                "name": file,
                "description": "The variant's records, one a line, in the order of the source.",
                "contentUrl": file,
                "contentSize": f"{len(content)} B",
                "encodingFormat": "application/jsonlines",
                "sha256": digest_of([content]),
            },
            *(images(number, split, info) for number, (split, info) in enumerate(splits, start=1)),
        ],
        "recordSet": [records(variant, data), *([classes(variant, data)] if variant.class_names else [])],
    }
    return {key: value for key, value in document.items() if value}


def parts_of(source: Source | JoinedSource) -> list[Source]:
    """The splits that a source consists of."""
    return [*parts_of(source.first), *parts_of(source.second)] if isinstance(source, JoinedSource) else [source]


def description(variant: Variant) -> str:
    frequency, source = variant.class_frequency, variant.source
    columns = "file paths, labels and captions" if variant.captions else "file paths and labels"
    in_classes = ""
    if len(frequency):
        in_classes = f", in {len(frequency):,} classes of {frequency.min():,} to {frequency.max():,} records each"
    return (
        f"A variant of {source.name} ({source.split}): {len(variant):,} of its {len(source):,} records{in_classes}, as "
        "cliptail_jax selects them with the settings listed under rai:dataPreprocessingProtocol. The record set 'records' has their "
        f"{columns}; their images are those of the source, which is to be obtained separately."
    )


def derived_from(info: tfds.core.DatasetInfo) -> dict[str, str]:
    """The data set that a variant is selected from."""
    url = "" if info.homepage.startswith(CATALOGUE) else info.homepage
    properties = {"name": info.full_name, "description": info.description, "url": url}
    return {"@type": "prov:Entity"} | {key: value for key, value in properties.items() if value}


def settings(data: Data) -> Iterator[str]:
    """The fields that select the variant, as 'data.profile.ratio=100.0', without sections at their defaults.

    Files appear without their folders, which are private.
    """
    values, data_fields = dict(fields.flatten(data)), list(fields.fields_of(Selecting()))
    changed_sections = {field.key.partition(".")[0] for field in data_fields if values[field.key] != field.default}
    for field in data_fields:
        section, value = field.key.partition(".")[0], values[field.key]
        if section in STATED or section in changed_sections:
            is_path = isinstance(value, str) and os.path.isabs(value)
            yield f"data.{field.key}={os.path.basename(value) if is_path else value}"


def imbalance(variant: Variant) -> str:
    """A sentence about the imbalance of classes; '' if they are balanced."""
    frequency = variant.class_frequency
    if not len(frequency) or frequency.min() == frequency.max():
        return ""
    nonzero_frequency = frequency[frequency > 0]
    note = f" Classes without a record: {np.sum(frequency == 0):,}." if len(nonzero_frequency) < len(frequency) else ""
    return (
        f"Class frequencies are imbalanced: the most frequent class has {imbalance_ratio(nonzero_frequency):,.1f} times as many "
        f"records as the rarest, and their Gini coefficient is {gini(frequency):.2f}.{note}"
    )


def images(number: int, split: str, info: tfds.core.DatasetInfo) -> dict[str, Any]:
    """The files with the images of a split."""
    file = info.splits[split].filepaths[0].name
    return {
        "@type": "cr:FileSet",
        "@id": f"images-{number}",
        "name": f"{info.full_name}, {split}",
        "description": f"The images, with {info.splits[split].num_examples:,} records, as TFDS prepares the source.",
        "encodingFormat": "https://github.com/google/array_record",
        "includes": f"{info.full_name}/{re.sub('-[0-9]+-of-[0-9]+$', '-*', file)}",
    }


def records(variant: Variant, data: Data) -> dict[str, Any]:
    """The record set of the variant's rows."""
    epoch = " in the first epoch; each draws template and lemma anew" if data.captions.resample else ""
    columns = [
        ("filepath", "sc:Text", "The record's file name, or SET/SPLIT/RECORD if it has none."),
        ("label", ["sc:Integer", "cr:Label"], "The label of the record's class in the record set 'classes'; -1: none."),
        ("caption", "sc:Text", f"The record's caption{epoch}."),
    ]
    record_fields = [
        field("records", *column) | {"source": {"fileObject": {"@id": "table"}, "extract": {"column": column[0]}}}
        for column in (columns if variant.captions else columns[:2])
    ]
    if variant.class_names:
        record_fields[1]["references"] = {"field": {"@id": "classes/label"}}
    return {
        "@type": "cr:RecordSet",
        "@id": "records",
        "name": "records",
        "description": "The variant's records. A record whose caption names two classes may occur twice.",
        "field": record_fields,
    }


def classes(variant: Variant, data: Data) -> dict[str, Any]:
    """The record set of the variant's classes, with the labels that they have in the table."""
    class_list = data.class_match.classes
    names = listed_classes(class_list)[0] if class_list else variant.source.class_names
    label = {name: label for label, name in enumerate(names)}
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "The variant's classes, also those without a record.",
        "key": {"@id": "classes/label"},
        "field": [
            field("classes", "label", "sc:Integer", "The label of the class in the record set 'records'."),
            field("classes", "name", "sc:Text", "What the class is called."),
            field("classes", "frequency", "sc:Integer", "The number of records of the class."),
        ],
        "data": [
            {"classes/label": label[name], "classes/name": name, "classes/frequency": int(frequency)}
            for name, frequency in zip(variant.class_names, variant.class_frequency)
        ],
    }


def field(record_set: str, name: str, data_type: str | list[str], text: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": text,
        "dataType": data_type,
    }
