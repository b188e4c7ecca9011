"""Config sections: dataclasses whose fields have a description and rules besides their type and default.

    @dataclass(frozen=True)
    class Checkpoint(Section):
        every_steps: Annotated[int, "Steps between two checkpoints.", Positive] = 1000

    @dataclass(frozen=True)
    class Training(Section):
        checkpoint: Annotated[Checkpoint, Incidental] = Checkpoint()

The value of a field is a bool, an int, a float (or an int), a str, a tuple of these, or another section. `to_config`
returns the `ConfigDict` that config files fill in and flags override. `check` compares it with its section, and `typed`
turns it into the section that a program works with. Libraries such as pydantic check dataclasses, but not the ConfigDict
that ml_collections' flags need.
"""

import dataclasses
import itertools
import math
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from ml_collections import ConfigDict

from cliptail_jax.config.renamed import RENAMED
from cliptail_jax.host.errors import UserError, did_you_mean, renaming_error


@dataclasses.dataclass(frozen=True)
class Section:
    """The base of config sections."""


S = TypeVar("S", bound=Section)
Untyped = Mapping[str, Any] | ConfigDict  # a config or one of its sections
Values = Untyped | Section


@dataclasses.dataclass(frozen=True)
class Rule:
    """A condition on a field's value. `text` is the predicate of a sentence about the value."""

    holds: Callable[[Any], bool]
    text: str


Positive = Rule(lambda value: value > 0, "must be positive")
NonNegative = Rule(lambda value: value >= 0, "must not be negative")
Share = Rule(lambda value: 0 <= value <= 1, "must be a share between 0 and 1")
BelowOne = Rule(lambda value: 0 <= value < 1, "must be 0 or more and below 1")
Incidental = "incidental"  # marks fields that change no trained number: a run may be continued with other values


def OneOf(*choices: Any) -> Rule:
    """The rule that a value is one of the choices."""
    return Rule(lambda value: value in choices, f"must be one of {', '.join(map(repr, choices))}")


@dataclasses.dataclass(frozen=True)
class Field:
    """One value of a config. `key` is its dotted name, such as 'optimizer.learning_rate'."""

    key: str
    type: Any
    default: Any
    description: str
    rules: tuple[Rule, ...]
    is_incidental: bool

    def check(self, value: Any) -> None:
        """Raise UserError if the value is invalid for the field."""
        problem = type_problem(value, self.type) or size_problem(value)
        problem = problem or next((f"it {rule.text}" for rule in self.rules if not rule.holds(value)), "")
        if problem:
            raise UserError(f"config key '{self.key}' is {value!r}; {problem}")


def fields_of(section: Section, prefix: str = "", is_incidental: bool = False) -> Iterator[Field]:
    """The fields of a section and its sections, in the order of their declaration."""
    for name, hint in typing.get_type_hints(type(section), include_extras=True).items():
        kind, *notes = typing.get_args(hint) if typing.get_origin(hint) is Annotated else [hint]
        default, key = getattr(section, name), f"{prefix}{name}"
        is_marked = is_incidental or Incidental in notes
        if dataclasses.is_dataclass(kind):
            yield from fields_of(default, f"{key}.", is_marked)
        else:
            rules = tuple(note for note in notes if isinstance(note, Rule))
            yield Field(key, kind, default, notes[0], rules, is_marked)


def merged(name: str, sections: Sequence[Section]) -> type[Section]:
    """A class `name` of sections that have the fields of all these sections. It is a subclass of the first one's class.

    Of inner sections with the same name, it has the one with the fields of all. The result of inheritance from all classes would
    depend on their order.

    Raises UserError if several have the same name, and none has the fields of all.
    """
    fields_by_key: dict[str, set[Field]] = {}
    declarations = {}
    for section in sections:
        hints = typing.get_type_hints(type(section), include_extras=True)
        for key, fields in itertools.groupby(fields_of(section), lambda field: field.key.partition(".")[0]):
            fields, other_fields = set(fields), fields_by_key.get(key, set())
            if fields >= other_fields:
                fields_by_key[key], declarations[key] = (
                    fields,
                    (key, hints[key], dataclasses.field(default=getattr(section, key))),
                )
            elif not fields <= other_fields:
                odd_key = min(field.key for field in fields - other_fields)
                raise UserError(
                    f"config key '{odd_key}' of {type(section).__name__} has another type, default, description or rule in "
                    f"another section '{key}', or is missing there: begin with a subclass of that section, or use another name"
                )
    return dataclasses.make_dataclass(name, declarations.values(), bases=(type(sections[0]),), frozen=True)


def to_config(section: Section) -> ConfigDict:
    """The config with the section's defaults. No other keys can be added."""
    return ConfigDict(dataclasses.asdict(section)).lock()


def typed(section: S, values: Values) -> S:
    """The section with these values, which `check` has found valid. It takes only its own fields from a larger section."""
    values = vars(values) if isinstance(values, Section) else values

    def value_of(key: str, default: Any) -> Any:
        return typed(default, values[key]) if isinstance(default, Section) else values[key]

    return type(section)(**{key: value_of(key, default) for key, default in vars(section).items()})


def flatten(values: Values, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All values of a config by dotted key."""
    for key, value in (vars(values) if isinstance(values, Section) else values).items():
        if isinstance(value, Mapping | ConfigDict | Section):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plain(values: Values) -> dict[str, Any]:
    """The values of a config by dotted key, for JSON: tuples become lists."""
    return {key: plain_value(value) for key, value in flatten(values)}


def with_values(config: ConfigDict, values: Mapping[str, Any], origin: Path | str) -> ConfigDict:
    """The config with the values of a config.json, by dotted key, which are checked later.

    Raises UserError, which begins with `origin`, if they are those of another program or version.
    """
    try:
        with config.ignore_type():
            config.update_from_flattened_dict({k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{origin} contains the config of another program or version ({error})") from None
    return config


def plain_value(value: Any) -> Any:
    """A value of a config for JSON: a tuple becomes a list."""
    return list(value) if isinstance(value, tuple) else value


def difference(old_values: Mapping[str, Any], new_values: Mapping[str, Any]) -> str:
    """Up to three keys that differ, as 'batch_size=128 not 64'; '' if none does. A missing key is None."""
    keys = [key for key in sorted({**old_values, **new_values}) if old_values.get(key) != new_values.get(key)]
    changes = [f"{key}={old_values.get(key)!r} not {new_values.get(key)!r}" for key in keys]
    return ", ".join(changes[:3]) + (f", and {len(changes) - 3} more" if len(changes) > 3 else "")


def check(values: Values, section: Section, prefix: str = "") -> None:
    """Raises UserError that names the first key that is unknown, missing, or has an invalid value.

    `prefix` is the dotted name of the section in a whole config, followed by a dot.
    """
    known_fields, values_by_key = (
        {field.key: field for field in fields_of(section, prefix)},
        dict(flatten(values, prefix)),
    )
    for key, value in values_by_key.items():
        if key not in known_fields:
            raise unknown_key(key, known_fields)
        known_fields[key].check(value)
    if missing_keys := known_fields.keys() - values_by_key.keys():
        raise UserError(
            f"config key '{min(missing_keys)}' is missing; start from a base_config(), as the files of configs/ do"
        )


def unknown_key(key: str, known_keys: Iterable[str]) -> UserError:
    """The error for an unknown dotted key: its new name, or fields of this name, or with these initials, in any section."""

    def names(other: str) -> tuple[str, str]:
        name = other.rpartition(".")[2]
        return name, "".join(word[0] for word in name.split("_") if word)

    known_keys, last_name = list(known_keys), key.rpartition(".")[2]
    if RENAMED.get(key) in known_keys:
        return renaming_error(f"config key '{key}'", f"'{RENAMED[key]}'")
    similar_keys = [other for other in known_keys if last_name in names(other)]
    hint = did_you_mean(key, similar_keys, cutoff=0.0) or did_you_mean(key, known_keys, cutoff=0.5)
    return UserError(f"unknown config key '{key}'{hint}")


def type_problem(value: Any, kind: Any) -> str:
    """Why a value is not of type `kind`; '' if it is."""
    if typing.get_origin(kind) is not tuple:
        return "" if has_type(value, kind) else f"it must be of type {type_name(kind)}"
    element, _ = typing.get_args(kind)
    if not isinstance(value, tuple):
        return f"it must be of type {type_name(kind)}"
    return (
        ""
        if all(has_type(item, element) for item in value)
        else f"each of its elements must be of type {type_name(element)}"
    )


def size_problem(value: Any) -> str:
    """Why a number (or one in a tuple) is too large or not finite; '' for all other values."""
    if isinstance(value, tuple):
        return next(filter(None, map(size_problem, value)), "")
    if isinstance(value, float) and not math.isfinite(value):
        return "it must be finite"
    return "it must be smaller than 2**63" if isinstance(value, int) and abs(value) >= 2**63 else ""


def has_type(value: Any, kind: Any) -> bool:
    if kind is bool or isinstance(value, bool):  # a bool is an int in Python
        return kind is bool and isinstance(value, bool)
    return isinstance(value, kind) or (kind is float and isinstance(value, int))


def type_name(kind: Any) -> str:
    """The name of a field's type, such as 'int', 'str or int', or 'tuple of str'."""
    if typing.get_origin(kind) is tuple:
        return f"tuple of {type_name(typing.get_args(kind)[0])}"
    return " or ".join(choice.__name__ for choice in typing.get_args(kind) or (kind,))


def describe(section: Section, values: Values | None = None, prefix: str = "") -> str:
    """Describes every field: value, type, description and rules. Fields that are not in `values` have defaults."""
    values_by_key = dict(flatten(values or {}, prefix))
    paragraphs = []
    for field in fields_of(section, prefix):
        sentences = [field.description, *(f"It {rule.text}." for rule in field.rules)]
        text = textwrap.fill(" ".join(sentences), 110, initial_indent="    ", subsequent_indent="    ")
        value = values_by_key.get(field.key, field.default)
        paragraphs.append(f"{field.key} = {value!r}  ({type_name(field.type)})\n{text}")
    return "\n".join(paragraphs)
