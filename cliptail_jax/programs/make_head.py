"""Make a class head from a published text tower, for `head.init` of a supervised run:

    cliptail make_head --model=hf-hub:timm/resnet50_clip.openai --classes=imagenet1k \\
        --template=a+cname --output=heads/rn50.npy

The tower is that of a CLIP, or a BERT or RoBERTa. It writes a float32 array [classes, dim], and a .json of the same
name with the classes, the template set, the model, the SHA-256 of its weights as "weights", and the digest of the
array. By default, as in the paper's heads, it averages raw embeddings and does not normalize the averages. Zero-shot
classifiers average unit-length embeddings (--average=unit --norm=unit).
"""

import argparse

from cliptail_jax.concepts.templates import TEMPLATE_SETS
from cliptail_jax.host.errors import refuse_renamed
from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_overwrite


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, help="a published CLIP, BERT or RoBERTa, or a CLIP run's work directory"
    )
    parser.add_argument("--classes", required=True, help="a built-in class list's name, or a .json or .txt file")
    refuse_renamed(parser, "--vocabulary", "--classes")
    parser.add_argument("--template", default="a+cname", choices=TEMPLATE_SETS)
    parser.add_argument(
        "--synonyms", action="store_true", help="average over a class's synonyms instead of using only its name"
    )
    parser.add_argument(
        "--average",
        default="raw",
        choices=["raw", "unit"],
        help="which embeddings are averaged: raw ones or unit-length ones",
    )
    parser.add_argument("--norm", default="raw", choices=["raw", "unit"], help="the rows as they are, or at length 1")
    parser.add_argument("--output", required=True, type=work_path, help="the .npy file")
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.pretrained.make_head import make_head_command

    make_head_command(options)
