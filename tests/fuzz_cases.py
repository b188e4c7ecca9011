"""Random input for everything that reads what users write: each example is accepted, or refused with a UserError."""

import contextlib
import copy
import dataclasses
import functools
import io
import json
import operator
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet
from flax import nnx
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

from cliptail_jax.concepts.captions import read_part
from cliptail_jax.concepts.class_lists import load_class_list
from cliptail_jax.config.fields import flatten
from cliptail_jax.datasets.image_text import ImageText
from cliptail_jax.figures.parts.sheet import read_sheet
from cliptail_jax.formats.decoding import UnreadableImageError, decode_image
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import npz, read_json, read_lines
from cliptail_jax.input.bag_of_words import BagOfWords
from cliptail_jax.input.preprocess import PREPROCESS
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.open_clip import MODEL as MODEL_KEYS
from cliptail_jax.models.open_clip import TEXT, VISION, check_model
from cliptail_jax.objectives import typed_config
from cliptail_jax.predictions.classes import class_table
from cliptail_jax.predictions.evaluations import class_numbers
from cliptail_jax.predictions.reading import read_predictions
from cliptail_jax.pretrained.names import published_name, published_shape
from cliptail_jax.pretrained.published_clip import open_published
from cliptail_jax.pretrained.published_weights import open_weights
from cliptail_jax.runs.directory import difference_to
from cliptail_jax.runs.files import read_run_frequency
from configs import clip, dino, sup
from tests import fuzz_own_data, fuzz_study
from tests.commands import count
from tests.datasets.raw_data import archive

FAMILIES = {"sup": sup, "clip": clip, "dino": dino}
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, -1, 1, 2**31, 2**63, 1e30, 1e-30]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
)


@dataclasses.dataclass(frozen=True)
class Case:
    """Random input of one kind.

    Attributes:
        examples: the strategy that draws it.
        read: reads an example, in a folder that it may write to, and raises nothing but UserError.
    """

    examples: st.SearchStrategy
    read: Callable[[object, Path], None]


def flipped(content: bytes, change: tuple[str, int, int]) -> bytes:
    """The content with a bit flipped, the end cut off, or a byte inserted."""
    kind, place, value = change
    place %= max(len(content), 1)
    before, byte, after = content[:place], content[place : place + 1], content[place + 1 :]
    if kind == "flip" and byte:
        return before + bytes([byte[0] ^ (1 << value % 8)]) + after
    return before + bytes([value % 256]) + byte + after if kind == "insert" else before


CHANGES = st.tuples(st.sampled_from(["flip", "cut", "insert"]), st.integers(0, 10**6), st.integers(0, 255))


def read_config(example, folder: Path) -> None:
    """Of the right type, as flags would have it: a wrong one is theirs to refuse."""
    family, place, value = example
    config = FAMILIES[family].get_config("data=glyphs_lt")
    keys = [key for key, _ in flatten(config)]
    with contextlib.suppress(TypeError, ValueError):
        config.update_from_flattened_dict({keys[place % len(keys)]: value})
    typed_config(config)


def read_captions(example, folder: Path) -> None:
    suffix, content = example
    (folder / f"captions{suffix}").write_bytes(content)
    (folder / "classes.json").write_text('[{"name": "cat"}]')
    flags = [f"--captions={folder}/captions{suffix}", f"--classes={folder}/classes.json", "--processes=1"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        if count([*flags, f"--output={folder}/out.tsv"]):
            raise UserError(errors.getvalue())


def read_class_list(example, folder: Path) -> None:
    path = folder / "classes.json"
    path.write_text(example if isinstance(example, str) else json.dumps(example))
    load_class_list(str(path))


RUN = {
    "config.json": '{"config": {"seed": 7, "objective": "supervised"}, "finished": {"step": 3, "seconds": 1.5}}',
    "model.json": '{"model": {"model_cfg": {"embed_dim": 16}}, "dtype": "float32"}',
    "class_frequency.tsv": "cat\t3\nred fox\t2\n",
    "metrics.jsonl": '{"step": 1, "train/loss": 2.5}\n{"step": 2, "train/loss": 2.25}\n',
    "tokenizer.json": '{"context_length": 8, "merges": [["a", "b</w>"]]}',
    "words.json": '{"words": ["a", "b"], "counts": [3, 1], "captions": 3, "idf": true, "context_length": 4}',
}


def read_run(example, folder: Path) -> None:
    """The files of a run of an earlier version, without digests: damage is named, or what is read is of the right kind."""
    name, change = example
    (folder / name).write_bytes(flipped(RUN[name].encode(), change))
    readers = {
        "config.json": lambda: difference_to(folder, {"seed": 7}, ()),
        "model.json": lambda: read_json(folder / "model.json"),
        "class_frequency.tsv": lambda: read_run_frequency(folder),
        "metrics.jsonl": lambda: list(read_lines(folder / name)),
        "tokenizer.json": lambda: Tokenizer.load(folder / name)(["ab"]),
        "words.json": lambda: BagOfWords.load(folder).targets(["a b"]),
    }
    readers[name]()


def read_weights(example, folder: Path) -> None:
    header, content = example
    text = (header if isinstance(header, str) else json.dumps(header)).encode("utf-8", "surrogatepass")
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + content)
    with open_weights(folder / "model.safetensors") as file:
        for name in file.keys():
            file.get_tensor(name)


def jpegs() -> list[bytes]:
    """A small picture as JPEGs of the kinds that cameras and the Web have."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)).resize((37, 29))
    options = [dict(subsampling=0), dict(subsampling=1, optimize=True), dict(subsampling=2, quality=40)]
    options += [dict(progressive=True), dict(restart_marker_blocks=2), dict(keep_rgb=True)]
    files = []
    for mode, kind in [*(("RGB", kind) for kind in options), ("L", {}), ("CMYK", {})]:
        file = io.BytesIO()
        image.convert(mode).save(file, "JPEG", **kind)
        files.append(file.getvalue())
    return files


JPEGS = jpegs()


def pillow_pixels(encoded: bytes) -> np.ndarray | None:
    """None where Pillow cannot decode an image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    except Exception:
        return None


def read_image(example, folder: Path) -> None:
    """A JPEG with several changes has the pixels that Pillow gives, or is unreadable to Pillow, too."""
    which, changes = example
    encoded = JPEGS[which]
    for change in changes:
        encoded = flipped(encoded, change)
    try:
        image = decode_image(encoded)
    except UnreadableImageError as error:
        assert "pixels are more than" in str(error) or pillow_pixels(encoded) is None
        raise UserError(str(error)) from error
    assert np.array_equal(image, pillow_pixels(encoded))


def read_model(example, folder: Path) -> None:
    section, key, value = example
    config = {"embed_dim": 16, "vision_cfg": {"layers": 1, "width": 16}, "text_cfg": {"layers": 1, "width": 16}}
    (config[section] if section else config)[key] = value
    check_model(config)


def write_samples(path: Path, samples: dict, change: tuple[str, int, int] | None) -> None:
    content = archive({f"{key}.{kind}": each for key, files in samples.items() for kind, each in files.items()})
    path.write_bytes(flipped(content, change) if change else content)


def read_shards(example, folder: Path) -> None:
    """Every sample of an archive, and every row of the parquet file beside it, becomes a record or is counted."""
    samples, columns, change = example
    write_samples(folder / "0.tar", samples, change)
    if columns is not None:
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / "0.parquet")
    options = {"caption_columns": "caption,url", "label_column": "y", "classes": "cifar10"}
    with contextlib.redirect_stderr(io.StringIO()):
        builder = ImageText(raw=folder / "0.tar", data_dir=folder, **options)
        records = list(builder._generate_examples("train"))
    keys = samples.keys() | set(columns["key"] if columns else ())
    assert len(records) + builder.skips.total() >= len(keys)
    for record in records:
        builder.info.features.encode_example(record)


def read_shard_captions(example, folder: Path) -> None:
    """Every sample of a shard is a caption, perhaps a missing one."""
    samples, _, change = example
    write_samples(folder / "0.tar", samples, change)
    captions = sum(map(len, read_part(str(folder / "0.tar"))))
    assert change or captions == sum(map(bool, samples.values()))


MODEL = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"layers": 1, "width": 16, "head_width": 8, "patch_size": 8, "image_size": 16},
        "text_cfg": {"layers": 1, "width": 16, "heads": 2, "vocab_size": 32, "context_length": 8},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": 0.5},
}


@functools.cache
def weights_of_model() -> bytes:
    state = nnx.to_flat_state(nnx.state(abstract_model(MODEL)))
    arrays = {published_name(path): np.ones(published_shape(path, x.shape), np.float32) for path, x in state}
    return save({name.removeprefix("text."): array for name, array in arrays.items()})


def read_configuration(example, folder: Path) -> None:
    """A model whose configuration is accepted takes images and texts."""
    (folder / "open_clip_model.safetensors").write_bytes(weights_of_model())
    if isinstance(example, list):
        config = copy.deepcopy(MODEL)
        for path, key, value in example:
            with contextlib.suppress(TypeError, KeyError):  # another change has replaced the section
                functools.reduce(operator.getitem, path, config)[key] = copy.deepcopy(value)
        example = json.dumps(config).encode()
    (folder / "open_clip_config.json").write_bytes(example)
    opened = open_published(folder)
    model, image = opened.model, opened.preprocess(np.zeros((5, 7, 3), np.uint8))
    assert np.isfinite(image).all()
    jax.eval_shape(lambda: (model.encode_image(image[None]), model.encode_text(np.zeros((1, 8), np.int32))))


def read_table(text, folder: Path) -> None:
    (folder / "sheet.tsv").write_text(text, errors="surrogatepass")
    read_sheet(folder / "sheet.tsv", ("run", "group"))


KEYS = "embed_dim vision_cfg text_cfg layers width heads head_width image_size norm_kwargs pool_type x".split()
CELLS = st.one_of(st.sampled_from(["run", "group", "x", "set", "-", "1e400", "nan", "3"]), st.text(max_size=6))
TENSOR = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "F16", "BF16", "I64", "X"]), "shape": st.lists(NUMBERS, max_size=3)},
    optional={"data_offsets": st.lists(NUMBERS, max_size=3)},
)
LINES = st.lists(JSON, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
TABLE_TEXT = st.text("TEXT\t,\n\"'cat \u00e9", max_size=40).map(str.encode)
FIELDS = st.one_of(JSON, st.dictionaries(st.sampled_from(["caption", "URL", "status", "y"]), JSON))
SAMPLE = st.fixed_dictionaries(
    {"jpg": st.sampled_from([JPEGS[0], b"<html>"])},
    optional={
        "json": st.one_of(st.binary(max_size=8), FIELDS.map(json.dumps).map(str.encode)),
        "txt": st.binary(max_size=9),
    },
)
ROWS = st.one_of(*(st.lists(of, min_size=2, max_size=2) for of in (st.text(max_size=4), st.none(), st.integers(0, 12))))
SHARD = st.tuples(
    st.dictionaries(st.text("01234", min_size=1, max_size=1), SAMPLE, max_size=3),
    st.one_of(st.none(), st.dictionaries(st.sampled_from(["key", "caption", "status", "y", "URL"]), ROWS)),
    st.one_of(st.none(), CHANGES),
)
CAPTIONS = st.one_of(st.binary(max_size=60), LINES, TABLE_TEXT)
CONCEPT = st.fixed_dictionaries({"name": SCALARS}, optional={"synonyms": JSON, "exclude": JSON})
PRINTABLE = st.text(max_size=20).filter(str.isprintable)
HEADER = st.one_of(JSON, st.text(max_size=30), st.dictionaries(st.text(max_size=4), TENSOR))
SIZES = st.one_of(st.sampled_from([1, 2, 8, 16]), st.booleans(), st.integers(0, 64))
OPTIONS = {
    ("model_cfg",): MODEL_KEYS,
    ("model_cfg", "vision_cfg"): VISION,
    ("model_cfg", "text_cfg"): TEXT,
    ("preprocess_cfg",): PREPROCESS,
    (): MODEL,
}
CHOICES = [
    value for keys in OPTIONS.values() for choices in keys.values() if type(choices) is tuple for value in choices
]
SETTING = st.one_of(
    *(
        st.tuples(
            st.just(path), st.sampled_from(sorted(keys)), st.one_of(SIZES, st.sampled_from(CHOICES), NUMBERS, JSON)
        )
        for path, keys in OPTIONS.items()
    )
)
CONFIGURATION = st.one_of(
    st.lists(SETTING, min_size=1, max_size=2),
    CHANGES.map(lambda change: flipped(json.dumps(MODEL).encode(), change)),
    JSON.map(json.dumps).map(str.encode),
)
VALUES = st.one_of(SCALARS, st.tuples(NUMBERS, NUMBERS))


def npy(array: np.ndarray) -> bytes:
    """The content of an .npy file."""
    np.save(buffer := io.BytesIO(), array)
    return buffer.getvalue()


LABELS = np.repeat(np.arange(4), 3)
PREDICTIONS = {
    "a.csv": b"label,prediction\n" + b"".join(b"%d,%d\n" % (label, label) for label in LABELS),
    "a.jsonl": b"".join(b'{"label": %d, "prediction": "cat"}\n' % label for label in LABELS),
    "a.npy": npy(np.stack([LABELS, LABELS], axis=1)),
    "a.npz": npz({"labels": LABELS, "logits": np.ones((12, 4)), "classes": np.array(["cat", "dog", "fox", "owl"])}),
}


def read_prediction_file(example: tuple[str, list], folder: Path) -> None:
    """Predictions of four classes."""
    name, changes = example
    (folder / name).write_bytes(functools.reduce(flipped, changes, PREDICTIONS[name]))
    class_numbers(
        read_predictions(str(folder / name)), class_table({"cat": 9, "dog": 4, "fox": 2, "owl": 0}, "counts.tsv")
    )


CASES = {
    "predictions": Case(
        st.tuples(st.sampled_from(sorted(PREDICTIONS)), st.lists(CHANGES, max_size=3)), read_prediction_file
    ),
    "configs": Case(st.tuples(st.sampled_from(sorted(FAMILIES)), st.integers(0, 10**4), VALUES), read_config),
    "captions": Case(st.tuples(st.sampled_from([".tsv", ".csv", ".jsonl", ".txt"]), CAPTIONS), read_captions),
    "class lists": Case(st.one_of(PRINTABLE, JSON, st.lists(CONCEPT, max_size=4)), read_class_list),
    "run files": Case(st.tuples(st.sampled_from(sorted(RUN)), CHANGES), read_run),
    "studies": Case(fuzz_study.EXAMPLES, fuzz_study.read_study_directory),
    "sheets": Case(st.lists(st.lists(CELLS, max_size=5).map("\t".join), max_size=5).map("\n".join), read_table),
    "safetensors": Case(st.tuples(HEADER, st.binary(max_size=40)), read_weights),
    "images": Case(st.tuples(st.integers(0, len(JPEGS) - 1), st.lists(CHANGES, min_size=1, max_size=4)), read_image),
    "kinds of images": Case(fuzz_own_data.IMAGE, fuzz_own_data.read_kind),
    "folders": Case(fuzz_own_data.FOLDER, fuzz_own_data.read_folder),
    "tables": Case(fuzz_own_data.TABLE, fuzz_own_data.read_own_table),
    "shards": Case(SHARD, read_shards),
    "captions of shards": Case(SHARD, read_shard_captions),
    "configurations": Case(CONFIGURATION, read_configuration),
    "models": Case(st.tuples(st.sampled_from(["", "vision_cfg", "text_cfg"]), st.sampled_from(KEYS), JSON), read_model),
}


def read(case: Case, example, folder: Path) -> bool:
    """Whether an example is accepted; False if it is refused as it should be."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        case.read(example, folder)
    except UserError:
        return False
    return True
