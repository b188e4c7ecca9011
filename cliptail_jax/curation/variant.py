"""A variant: the records of a source that a config selects, their captions, and the classes they are sorted into."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.curation.captions import Captions, joined_words
from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.curation.templates import templates
from cliptail_jax.datasets.source import Source
from cliptail_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Variant:
    """Rows in ascending order of the source's records; labels index `class_names`."""

    source: Source
    records: Int[np.ndarray, "row"]
    labels: Int[np.ndarray, "row"]
    class_names: tuple[str, ...]
    captions: Captions | None  # None where the config asks for no template and no words
    dropped_without_caption: int = 0

    def __len__(self) -> int:
        return len(self.records)

    @property
    def class_frequency(self) -> Int[np.ndarray, "class"]:
        return np.bincount(self.labels, minlength=len(self.class_names))

    def fingerprint(self) -> str:
        """sha256 over the record indices and (first-epoch) captions: equal fingerprints, equal variants."""
        digest = hashlib.sha256(self.records.astype("<i8").tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        for start in range(0, len(self) if self.captions else 0, 65536):
            captions = self.captions(range(start, min(start + 65536, len(self))), epoch=0)
            digest.update("\n".join(captions).encode() + b"\n")
        return digest.hexdigest()


def make_variant(source: Source, data: ConfigDict) -> Variant:
    """The variant of `source` that the fields of `config.data` describe: classes, captions, profile, then scale.

    A record whose caption would be empty is left out, and counted, before the profile and the scale are imposed. Raises
    UserError where a field asks for what the source does not have, or where no record is left.
    """
    classes = select_classes(source.class_names, data.classes, data.seed)
    new_label = np.full(len(source.class_names) + 1, -1)  # the last is for records without a label, which have -1
    new_label[classes] = np.arange(len(classes))
    labels = new_label[source.metadata["label"].to_numpy()]
    records = np.flatnonzero(labels >= 0)

    words = joined_words(source.metadata, data.captions.words)
    prompts = templates(data.captions.template) if data.captions.template else ()
    dropped = 0
    if words is not None and not prompts:
        told = np.array(pc.not_equal(words, ""))[records]
        dropped, records = int(np.sum(~told)), records[told]

    if data.profile.name:
        records = impose_profile(records, labels, len(classes), data)
    records = sample(records, data)
    if not len(records):
        raise UserError(
            f"the variant of '{source.name}' has no record: its classes, captions, profile, n and fraction leave none"
        )
    labels = labels[records]
    names = tuple(source.class_names[c] for c in classes)
    captions = None
    if words is not None or prompts:
        words = None if words is None else words.take(pa.array(records))
        captions = Captions(prompts, names, labels, records, words, data.seed, data.captions.resample)
    return Variant(source, records, labels, names, captions, dropped)


def select_classes(names: Sequence[str], classes: ConfigDict, seed: int) -> Int[np.ndarray, "chosen"]:
    """The source's labels that the config's list, `first` or `random` selects: in the list's order, else ascending."""
    for key in ("first", "random"):
        if classes[key] > len(names):
            raise UserError(f"data.classes.{key}={classes[key]}, but the source has {len(names)} classes")
    if classes.first:
        return np.arange(classes.first)
    if classes.random:
        return np.sort(np.random.default_rng(seed).permutation(len(names))[: classes.random])
    if not classes.names:
        return np.arange(len(names))
    chosen = [_label(names, wanted) for wanted in classes.names]
    labels, counts = np.unique(chosen, return_counts=True)
    if counts.max() > 1:
        raise UserError(f"data.classes.names lists class '{names[labels[counts.argmax()]]}' twice")
    return np.array(chosen)


def _label(names: Sequence[str], wanted: str | int) -> int:
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        return wanted
    if wanted in names:
        return names.index(wanted)
    raise UserError(f"data.classes.names has {wanted!r}, which is no class of the source (such as {names[0]!r})")


def impose_profile(
    records: Int[np.ndarray, "record"], labels: Int[np.ndarray, "all"], num_classes: int, data: ConfigDict
) -> Int[np.ndarray, "kept"]:
    """Cut each class to its count in the profile. A class's kept records are the first of its seeded permutation."""
    of_records = labels[records]
    available = np.bincount(of_records, minlength=num_classes)
    counts = profile_counts(
        data.profile.name, available, ratio=data.profile.ratio, exponent=data.profile.exponent, seed=data.seed
    )
    by_class = np.split(records[np.argsort(of_records, kind="stable")], np.cumsum(available)[:-1])
    kept = [
        np.random.default_rng([data.seed, c]).permutation(of_class)[:count]
        for c, (of_class, count) in enumerate(zip(by_class, counts))
    ]
    return np.sort(np.concatenate(kept))


def sample(records: Int[np.ndarray, "record"], data: ConfigDict) -> Int[np.ndarray, "kept"]:
    """`n` or `fraction` of the records, in ascending order. With one seed, smaller samples lie in larger ones."""
    if data.n > len(records):
        raise UserError(f"data.n={data.n} is larger than the {len(records)} records that there are")
    size = data.n or round(data.fraction * len(records))
    if size == len(records):
        return records
    return np.sort(np.random.default_rng(data.seed).permutation(records)[:size])
