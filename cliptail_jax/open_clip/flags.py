"""Reads command lines with the table of open_clip's flags, flags.tsv.

Names, types and defaults are those of src/open_clip_train/params.py in github.com/mlfoundations/open_clip at commit 89fb801
(4.2.0.dev0, June 2026). A flag is

- `used`: it becomes fields of the config;
- `noted`: it changes nothing here, and a line states why;
- `refused`: an error states why, unless its value is the default;
- `fork`: it is used or noted, as its text states, and exists only in the fork of the study "What Makes CLIP More Robust to
  Long-Tailed Pre-Training Data?" (the scripts in exps_clip of github.com/CVMI-Lab/clip-beyond-tail);
- `older`: it is from an earlier version, or from CLIPA's fork; an error states what replaces it.
"""

import argparse
import csv
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cliptail_jax.host.errors import UserError, did_you_mean

TABLE = Path(__file__).with_name("flags.tsv")


def count(text: str) -> int:
    """The type of a flag whose value is a whole number above 0."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


TYPES = {"str": str, "int": int, "count": count, "float": float}
TRAINED = "trained"  # the value that replaces the tokenizer's file
MAIN = re.compile(r"(?:open_clip_train\.|training\.)main|(?:.*/)?main\.py")
EFFECTS = {"noted": "no effect: ", "refused": "refused: ", "older": "refused: "}  # texts on the page
SHELL = ("\n", "\\")  # words that come from the line breaks of a pasted command


class Flag(NamedTuple):
    """A row of the table.

    Attributes:
        name: its name with hyphens.
        kind: 'used', 'noted', 'refused', 'fork' or 'older'.
        type: 'str', 'int', 'count' (a whole number above 0) or 'float', with * for several values, or 'flag'.
        default: its default as text; '' for none.
        text: the fields that it becomes, or the reason why it has no effect or is refused.
    """

    name: str
    kind: str
    type: str
    default: str
    text: str

    @property
    def key(self) -> str:
        return self.name.removeprefix("--").replace("-", "_")


@functools.cache
def flags() -> dict[str, Flag]:
    """The flags by name."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        return {row[0]: Flag(*row) for row in rows}


class CommandLine(NamedTuple):
    """The flags of a command.

    Attributes:
        values: the values by name without hyphens, such as 'train_data'. Flags that are not given have the default, or None.
        flags: the values of the flags that are given, by name with hyphens.
        processes: the number of processes, of one device each, that a launcher before the flags starts; 0 without a launcher.
    """

    values: Mapping[str, Any]
    flags: Mapping[str, Any]
    processes: int

    def notes(self) -> list[str]:
        """A line for each reason why flags have no effect, with the names of these flags."""
        by_text: dict[str, list[str]] = {}
        for name in self.flags:
            if flags()[name].kind == "noted":
                by_text.setdefault(flags()[name].text, []).append(name)
        return [f"{', '.join(flag_names)}: {text}" for text, flag_names in by_text.items()]


class FlagParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message.removeprefix("argument "))


def parse(arguments: Sequence[str]) -> CommandLine:
    """The flags of a command line, which may begin with a launcher: `torchrun --nproc_per_node 4 -m open_clip_train.main`.

    Raises:
        UserError: A flag is unknown, refused, or has an invalid value.
    """
    launcher, arguments = split_launcher([argument for argument in arguments if argument not in SHELL])
    parser = FlagParser(prog="open_clip", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for flag in flags().values():
        if flag.type == "flag":
            parser.add_argument(flag.name, action="store_true", dest=flag.key)
        else:
            arguments_of_list = {"nargs": "*"} if flag.type.endswith("*") else {}
            parser.add_argument(flag.name, type=TYPES[flag.type.rstrip("*")], dest=flag.key, **arguments_of_list)
    if unknown_flags := [argument for argument in arguments if is_unknown(argument)]:
        name = unknown_flags[0].partition("=")[0]
        raise UserError(f"open_clip has no flag {name}{did_you_mean(name, flags())}")
    namespace, extra_words = parser.parse_known_args(arguments)
    if extra_words:
        raise UserError(f"'{extra_words[0]}' belongs to no flag: quote values that have spaces or braces")
    values = {name: vars(namespace)[flag.key] for name, flag in flags().items() if flag.key in vars(namespace)}
    for name, value in values.items():
        check(flags()[name], value)
    defaults = {flag.key: default_of(flag) for flag in flags().values()}
    return CommandLine(defaults | vars(namespace), values, launcher)


def is_unknown(argument: str) -> bool:
    return argument.startswith("--") and argument.partition("=")[0] not in flags()


def check(flag: Flag, value: Any) -> None:
    """Raise UserError if a flag is refused, or from another version."""
    if flag.kind == "older":
        raise UserError(f"{flag.name} is a flag of another version of open_clip: leave it out ({flag.text})")
    if flag.kind == "refused" and value != default_of(flag):
        raise UserError(f"{flag.name} is not supported: {flag.text}")


def default_of(flag: Flag) -> Any:
    """The default of a flag; None if there is none, or if it depends on the model."""
    if flag.type == "flag":
        return False
    try:
        return TYPES[flag.type.rstrip("*")](flag.default.replace("\\t", "\t")) if flag.default else None
    except ValueError:
        return None


def split_launcher(arguments: Sequence[str]) -> tuple[int, list[str]]:
    """The number of processes that a launcher starts (0 if unknown), and the arguments after it."""
    place = next((place for place, argument in enumerate(arguments) if MAIN.fullmatch(argument)), -1)
    words = re.sub(r"[= ]+", " ", " ".join(arguments[: place + 1])).replace("-", "_")
    matches = {name: re.search(rf"__{name} (\d+)", words) for name in ("nproc_per_node", "nnodes")}
    processes, nodes = (int(match[1]) if match else 0 for match in matches.values())
    return processes * max(nodes, 1), list(arguments[place + 1 :])


def table(*kinds: str) -> list[list[str]]:
    """The flags of these kinds, with their texts on the page.

    Flags with the same text share a row; used flags have their defaults.
    """
    by_text: dict[str, list[str]] = {}
    for flag in (flag for kind in kinds for flag in flags().values() if flag.kind == kind):
        default = f" (`{flag.default}`)" if flag.kind == "used" and flag.default else ""
        by_text.setdefault(f"{EFFECTS.get(flag.kind, '')}{flag.text}", []).append(f"`{flag.name}`{default}")
    return [[", ".join(flag_names), text] for text, flag_names in by_text.items()]
