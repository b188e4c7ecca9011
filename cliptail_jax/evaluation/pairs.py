"""Sets of images with captions, which are evaluated by retrieval."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Int

from cliptail_jax.curation.captions import joined_words
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.formats.batches import is_text
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of

IMAGE = "filename"  # the field of names: records with the same one are captions of the same image


@dataclasses.dataclass(frozen=True)
class PairSet:
    """Images and their captions.

    Attributes:
        name: 'source:split' or 'source:split@field'.
        images: each image once, in the order of the records, without labels.
        captions: in the order of the records.
        caption_records: the record of each caption.
        image_of: the row in `images` of each caption's image.
        without_caption: the number of records without a caption, which are left out.
    """

    name: str
    images: Variant
    captions: Sequence[str]
    caption_records: Int[np.ndarray, " caption"]
    image_of: Int[np.ndarray, " caption"]
    without_caption: int

    def fingerprint(self) -> str:
        """The SHA-256 of records, captions, and the re-encoding of images, if any."""
        numbers = (array.astype("<i8").tobytes() for array in (self.caption_records, self.image_of))
        texts = "\n".join([*self.captions, json.dumps(self.images.source.encoding)])
        return digest_of([*numbers, texts.encode()])


def open_pairs(
    name: str,
    data_dir: str,
    fields: tuple[str, ...] = (),
    default_fields: tuple[str, ...] = (),
    training_set: str = "",
    class_names: str = "",
) -> PairSet | None:
    """Opens the set 'source:split@field+field' with these texts as captions, or a set 'source:split' without labels.

    None if 'source:split' has labels, or `name` is the short name of a set with labels.

    Args:
        data_dir: the folder of prepared data sets.
        fields: the text fields whose texts, joined, are a record's caption, unless `name` has them: `eval.captions`. By default
            the `default_fields`, if the set has them, or else its only text field.
        training_set: the name of the training data: `data.name`.
        class_names: the file of their class names: `data.class_names`.

    Raises:
        UserError: there is no such set, or it has no such fields, or fewer than two images with captions.
    """
    source_name, colon, split = name.rpartition(":")
    if not (colon and source_name and split):
        return None
    split, separator, own_fields = split.partition("@")
    source = open_source(source_name, data_dir, split, class_names if source_name == training_set else "")
    if source.class_names and not separator:
        return None
    fields = caption_fields(name, source, tuple(own_fields.split("+")) if separator else fields, default_fields)
    texts = joined_words(source.metadata, fields)
    records = np.flatnonzero(pc.not_equal(texts, "").to_numpy())
    images = images_of(source)[records]
    first, image_of = np.unique(images, return_index=True, return_inverse=True)[1:]
    # Images are in the order of the records, not of their names.
    order = np.argsort(first)
    place = np.argsort(order)
    if len(first) < 2:
        number = f"{len(first)} image{'' if len(first) == 1 else 's'} with captions ({', '.join(fields)})"
        raise UserError(f"eval.sets: '{name}' has {number}, and retrieval needs two or more: leave it out")
    captions = texts.take(records).to_pylist()
    no_labels = np.full(len(first), -1)
    variant = Variant(source, records[first[order]], no_labels, (), no_labels, captions=None)
    return PairSet(name, variant, captions, records, place[image_of], len(source) - len(records))


def images_of(source: Source) -> np.ndarray:
    """The identity of each record's image: its file name, or the record itself if there are no names."""
    if IMAGE not in source.metadata.column_names:
        return np.arange(len(source))
    return source.metadata[IMAGE].combine_chunks().dictionary_encode().indices.to_numpy()


def caption_fields(
    name: str, source: Source, fields: tuple[str, ...], default_fields: tuple[str, ...]
) -> tuple[str, ...]:
    """The text fields of a set's captions; arguments and errors as for `open_pairs`."""
    schema = source.metadata.schema
    texts = [field.name for field in schema if is_text(field.type) and field.name != IMAGE]
    if not texts:
        raise UserError(f"eval.sets: '{name}' has neither labels nor texts: there is nothing to evaluate on it")
    if unknown_fields := [field for field in fields if field not in texts]:
        option = f"eval.sets: '{name}'" if "@" in name else "eval.captions"
        raise UserError(
            f"{option} names '{unknown_fields[0]}', but the texts of '{source.name}:{source.split}' are {', '.join(texts)}"
        )
    if fields:
        return fields
    if default_fields and set(default_fields) <= set(texts):
        return default_fields
    if len(texts) > 1:
        raise UserError(
            f"eval.sets: '{name}' has the texts {', '.join(texts)}: name those that are captions with eval.captions, such as "
            f"\"('{texts[0]}',)\""
        )
    return tuple(texts)
