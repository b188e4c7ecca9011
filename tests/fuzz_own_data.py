"""Images of all kinds, and folders and tables of one's own data: what becomes a record is right, and the rest is counted."""

import contextlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from hypothesis import strategies as st
from PIL import Image

from cliptail_jax.datasets.image_folder import EXTENSIONS, ImageFolder
from cliptail_jax.datasets.image_text import ImageText
from cliptail_jax.formats.decoding import UnreadableImageError, decode_image
from cliptail_jax.host.errors import UserError

ORIENTATION = 0x0112
# PNG's kinds by number of channels, with their bit depths; a palette has one channel.
DEPTHS = {"grey": (1, 2, 4, 8, 16), "palette": (1, 2, 4, 8), "LA": (8, 16), "RGB": (8, 16), "RGBA": (8, 16)}
PNG_TYPES = {"grey": (0, 1), "RGB": (2, 3), "palette": (3, 1), "LA": (4, 2), "RGBA": (6, 4)}
MODES = {  # other formats, with the modes and types that Pillow writes
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "uint16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "uint16"),
    "PPM": ("1", "L", "RGB", "uint16"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("1", "L", "P"),
}
KINDS = [("PNG", (kind, depth)) for kind, depths in DEPTHS.items() for depth in depths]
UNREADABLE = [("TIFF", "int32"), ("TIFF", "float32"), ("PPM", "float32")]
KINDS += [(format, mode) for format, modes in MODES.items() for mode in modes]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(pixels: np.ndarray, kind: str, depth: int, exif: bytes, palette: np.ndarray, alpha: bytes) -> bytes:
    """A PNG by its specification, of any bit depth, which Pillow does not write."""
    bits = (pixels[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(len(pixels), -1).astype(np.uint8), axis=1)
    header = struct.pack(">IIBBBBB", *pixels.shape[1::-1], depth, PNG_TYPES[kind][0], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"eXIf", exif)]
    if kind == "palette":
        chunks += [(b"PLTE", palette.tobytes()), *([(b"tRNS", alpha)] if alpha else ())]
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def read_kind(example, folder: Path) -> None:
    """An image of 8 bits has the pixels that Pillow gives, one of other depths its values scaled to 8 bits."""
    (format, kind), height, width, seed, orientation = example
    rng = np.random.default_rng(seed)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    if format == "PNG":
        kind, depth = kind
        pixels = rng.integers(0, 2**depth, (height, width, PNG_TYPES[kind][1]))
        palette, alpha = rng.integers(0, 256, (2 ** min(depth, 8), 3), np.uint8), rng.bytes(rng.integers(0, 2))
        image = decode_image(png(pixels, kind, depth, exif.tobytes(), palette, alpha))
        expected = palette[pixels[..., 0]] if kind == "palette" else pixels * 255 / (2**depth - 1)
        expected = expected[..., :3] if expected.shape[2] >= 3 else expected[..., :1]
        assert image.shape == (height, width, 3) and abs(image - expected).max() <= (1 if depth == 16 else 0)
        assert kind != "grey" or np.array_equal(image, np.broadcast_to(np.rint(expected), image.shape))
        return
    if kind in ("uint16", "int32", "float32"):
        made = Image.fromarray(rng.integers(0, 2**16, (height, width)).astype(kind))
    else:
        made = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).convert(kind)
    stream = io.BytesIO()
    made.save(stream, format, exif=exif)
    try:
        image = decode_image(stream.getvalue())
    except UnreadableImageError as error:
        assert example[0] in UNREADABLE and "16 bits" in str(error)
        raise UserError(str(error)) from error
    read = Image.open(io.BytesIO(stream.getvalue()))
    if kind == "uint16":
        expected = np.rint(np.asarray(read) / 257)[..., None].repeat(3, axis=2)
    else:
        expected = np.asarray(read.convert("RGB"))
    assert np.array_equal(image, expected)
    turned = format == "TIFF" and orientation in (5, 6, 7, 8)  # by Pillow
    assert image.shape == ((width, height, 3) if turned else (height, width, 3))


def content_of(kind: str) -> bytes:
    if kind == "broken":
        return b"<html>"
    stream, values = io.BytesIO(), np.full((2, 3), 7, kind)
    Image.fromarray(values).save(stream, "TIFF" if kind == "float32" else "PNG")
    return stream.getvalue()


def read_folder(example, folder: Path) -> None:
    """Each image in a class's folder is a record of this class; all that is left out is counted."""
    entries, skip_damaged = example
    raw, images, counted = folder / "raw", set(), 0
    raw.mkdir()
    for parts, name, kind in entries:
        path = raw.joinpath(*parts, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.resolve() != path.parent or os.path.lexists(path):  # behind a link, or twice
                continue
            path.symlink_to(kind[5:]) if kind.startswith("link ") else path.write_bytes(content_of(kind))
        except (FileExistsError, NotADirectoryError):
            continue
        is_image, is_hidden = name.lower().endswith(EXTENSIONS), name.startswith(".")
        if parts and is_image and not is_hidden and kind in ("uint8", "uint16"):
            images.add("/".join([*parts, name]))
        else:
            counted += bool(parts or is_image or is_hidden or path.is_dir())
    with contextlib.redirect_stderr(io.StringIO()):
        builder = ImageFolder(train=raw, skip_damaged=skip_damaged, data_dir=folder)
        builder.check_raw()
        records = list(builder._generate_examples("train"))
    classes = sorted(path.name for path in raw.iterdir() if path.is_dir() and not path.is_symlink())
    assert sorted(record["filename"] for record in records) == sorted(images)
    assert all(classes[record["label"]] == record["filename"].split("/")[0] for record in records)
    empty = builder.skips.pop("classes without a readable image", 0)
    assert builder.skips.total() == counted and empty == len(set(classes) - {name.split("/")[0] for name in images})


def read_own_table(example, folder: Path) -> None:
    """Each text of a row is a record's, and is what the table has."""
    captions, labels = example
    stream = io.BytesIO()
    Image.new("L", (2, 2)).save(stream, "PNG")
    columns = {"image": len(captions) * [stream.getvalue()], "caption": captions, "label": labels[: len(captions)]}
    pa.parquet.write_table(pa.table(columns), folder / "t.parquet")
    with contextlib.redirect_stderr(io.StringIO()):
        options = dict(label_column="label", classes="cifar10", data_dir=folder)
        builder = ImageText(raw=folder / "t.parquet", **options)
        builder.check_raw()
        records = list(builder._generate_examples("train"))
    texts = [text for caption in captions for text in (caption or [None] if isinstance(caption, list) else [caption])]
    texts = [text["raw"] if isinstance(text, dict) else text for text in texts]
    expected = [text.decode() if isinstance(text, bytes) else "" if text is None else str(text) for text in texts]
    assert [record["caption"] for record in records] == expected
    for record in records:
        builder.info.features.encode_example(record)


IMAGE = st.tuples(
    st.one_of(st.sampled_from(KINDS), st.sampled_from(UNREADABLE)),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32),
    st.integers(0, 9),
)
NAMES = ["1.jpg", "2.PNG", "3.tif", "é.webp", ".jpg", "4.gif", "5", "x", "y.jpg"]
ENTRY = st.tuples(
    st.lists(st.sampled_from(["x", "y.jpg", "é b"]), max_size=3),
    st.sampled_from(NAMES),
    st.sampled_from(
        ["uint8", "uint8", "uint16", "float32", "broken", "link .", "link ..", "link ../..", "link nowhere"]
    ),
)
FOLDER = st.tuples(st.lists(ENTRY, max_size=8), st.booleans())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
COLUMNS = (TEXTS, st.binary(max_size=6), TEXTS.map(str.encode), st.integers(-99, 99), st.lists(TEXTS, max_size=3))
COLUMNS += (st.fixed_dictionaries({"raw": TEXTS}), st.fixed_dictionaries({"a": TEXTS}), st.dates())
LABELS = st.sampled_from([["cat", "1", ""], [b"cat", b"2", None], [0, 9, -1], [[1], [2], [3]]])
TABLE = st.tuples(st.one_of(*(st.lists(st.one_of(st.none(), of), min_size=1, max_size=3) for of in COLUMNS)), LABELS)
