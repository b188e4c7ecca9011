"""The options in front of open_clip's flags, in a module that is imported quickly."""

import argparse

from cliptail_jax.host.commands import program_parser

END = "--"  # of the options, before the flags
TRAINED = "trained"  # in place of the tokenizer's file


def count(text: str) -> int:
    """A whole number above 0, as the type of an option."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def read_options(arguments: list[str], description: str) -> tuple[argparse.Namespace, list[str]]:
    """The options in front of open_clip's flags, and the overrides of fields among them."""
    parser = program_parser("open_clip", description, usage="%(prog)s [OPTIONS] -- FLAGS", allow_abbrev=False)
    devices = "number of devices that open_clip's batch size is multiplied by; default: the launcher's, or those of this machine"
    parser.add_argument("--gpus", type=count, default=0, help=devices)
    parser.add_argument(
        "--data_dir", default="", help="folder of prepared data sets; default: the environment's TFDS_DATA_DIR"
    )
    parser.add_argument(
        "--tokenizer",
        default="",
        metavar="FILE",
        help="tokenizer of a text tower without weights: CLIP's bpe_simple_vocab_16e6.txt.gz or the model's tokenizer.json, or "
        f"'{TRAINED}' to train one on the captions; default: the model's own, of the package open_clip or the Hugging Face Hub",
    )
    parser.add_argument("--print_config", action="store_true", help="print the config, and exit")
    parser.add_argument(
        "--config.FIELD", dest="field", metavar="VALUE", help="sets a field of the config, as in training"
    )
    return parser.parse_known_args(arguments)
