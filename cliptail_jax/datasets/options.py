"""The options of each builder, in a module that is imported quickly."""

import argparse

from cliptail_jax.formats.prepared import DEFAULT_DATA_DIR

MAPPED = "a JSON object, or lines of folder <TAB> name"
TABLES = (
    "a folder of shards (*.tar) or of parquet files, or one shard or table (.tsv, .csv, .jsonl, .parquet), or a glob, "
    "also with braces as {00000..00331}.tar"
)
SKIP_SHARDS = {
    "skip_damaged": "take the samples before the damage of damaged shards, and accept missing shards; both are counted"
}
# By data set, and by name without --: arguments of the builder, with their explanations. A set without options is
# generated, and needs no raw data.
OPTIONS: dict[str, dict[str, str]] = {
    "birdsnap": {
        "raw": "the extracted folder of birdsnap.tgz (species.txt, images.txt, test_images.txt), with the downloaded images "
        "in download/images/ or images/"
    },
    "fgvc_aircraft": {"raw": "the extracted folder of fgvc-aircraft-2013b.tar.gz"},
    "glyphs": {},
    "icons": {
        "raw": "iconify-json-2.2.535.tgz, from: npm pack @iconify/json@2.2.535",
        "size": "the images' width and height, 1 to 1024 pixels; default: 32",
        "licenses": "only sets of these licenses, as A,B,...: SPDX's names, also without the version (CC-BY); default: all, "
        "since each allows derived works",
    },
    "image_folder": {
        "train": "a folder that contains a folder of images for each class, or a table (.csv, .tsv, .jsonl, .parquet) of images "
        "and their classes",
        "val": "the same for the split val",
        "test": "the same for the split test",
        "image_column": "the table's column of images, with paths relative to it (default: image, path, file, filename or "
        "filepath)",
        "label_column": "the table's column of classes (default: label, class or target)",
        "class_names": f"a file with the class names of the folders: {MAPPED} (default: the folders' names)",
        "skip_damaged": "accept classes without a readable image; they are counted",
    },
    "image_text": {
        "raw": f"{TABLES}; it becomes the split that --split names",
        "split": "the name of the split that --raw gives (default: train)",
        "train": f"{TABLES}, for the split train",
        "val": "the same for the split val",
        "test": "the same for the split test",
        "images": "the folder that the table's paths are relative to (default: the table's)",
        "image_column": "the table's column of images: paths, encoded images, or structs of bytes and path (default: "
        "filepath, else the one of encoded images)",
        "caption_columns": "the columns of texts, or fields of the samples' .json, as A,B,...; each becomes a field "
        "of its name (default: caption, which is also a sample's .txt; '' for labels alone); a list gives a record for "
        "each of its texts",
        "label_column": "the column or field of labels: numbers, or names of the classes (default: there are none)",
        "classes": "the class list of the labels, built-in or a file (default: the class names that the parquet files of a "
        "Hugging Face data set contain)",
    }
    | SKIP_SHARDS,
    "imagenet_captions": {
        "raw": "a folder with imagenet_captions.json and ImageNet's training images, as train/WNID/*.JPEG or "
        "ILSVRC2012_img_train.tar; or the images in either form, with the captions beside them"
    },
    "laionet": {
        "raw": "a folder of img2dataset's shards (NNNNN.tar, and NNNNN.parquet beside them)",
        "table": "the curated parquet, a file or a folder, to take wnid, similarity and NSFW from; it is joined by URL "
        "and TEXT",
        "similarity_column": "the column of the similarity of text and class definition (default: similarity)",
    }
    | SKIP_SHARDS,
}
REENCODING = {  # options of all sets of raw data
    "short_side": "pixels to which the short side of larger images is reduced, once; default: images stay as they are",
    "quality": "1 to 100, of the JPEGs that are written with --short_side; default: 90",
}
FLAGS = ("skip_damaged",)  # options without a value


def options_of(name: str) -> dict[str, str]:
    """The options of a data set's builder, with their explanations. `name` may have a config after a slash."""
    options = OPTIONS.get(name.partition("/")[0])
    return options | REENCODING if options else {}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the name of the data set, its folder, and the builders' options. Options that are not given are not set."""
    parser.add_argument("name", help=f"one of: {', '.join(OPTIONS)}; with a config: image_text/yfcc15m")
    parser.add_argument("--data_dir", default="", help=DEFAULT_DATA_DIR)
    explanations = {}
    for name in OPTIONS:
        for option, explanation in options_of(name).items():
            explanations.setdefault(option, {}).setdefault(explanation, []).append(name)
    for option, names in explanations.items():
        action = "store_true" if option in FLAGS else "store"
        lines = (f"{', '.join(sets)}: {explanation}" for explanation, sets in names.items())
        parser.add_argument(f"--{option}", action=action, default=argparse.SUPPRESS, help="; ".join(lines))
