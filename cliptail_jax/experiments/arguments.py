"""The arguments of a config file, after its name, as in `clip:data=glyphs_lt,batch_size=64`."""

from collections.abc import Mapping
from fractions import Fraction

from cliptail_jax.host.errors import UserError

Arguments = Mapping[str, str]


def read_only(arg: str, *known: str) -> Arguments:
    """The arguments of `arg`. Raises UserError if one is not `known`, has no value, or is given twice."""
    given: Arguments = {}
    for name, equals, value in (item.partition("=") for item in arg.split(",") if item):
        if given and not equals:
            raise UserError(f"the config argument '{name}' has no value; join several values of one argument by '+'")
        if name not in known:
            raise UserError(
                f"unknown config argument '{name}'; there are {', '.join(known) or 'none'}"
                + ", as NAME=VALUE" * (not equals and bool(known))
            )
        if name in given:
            raise UserError(f"the config argument {name} is given twice")
        if not value:  # as of a shell variable that is not set
            raise UserError(f"the config argument {name} is empty: give it a value, or leave it out")
        given[name] = value
    return given


def number(given: Arguments, name: str, default: int) -> int:
    """The value of an argument that is a whole number."""
    if not given.get(name, "0").isdecimal():
        raise UserError(f"the config argument {name} is '{given[name]}'; it must be a whole number")
    return int(given.get(name, default))


def real(given: Arguments, name: str, default: float) -> float:
    """The value of an argument that is written as 0.25 or 1/4."""
    try:
        return float(Fraction(given.get(name, str(default))))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UserError(
            f"the config argument {name} is '{given[name]}'; it must be a number such as 0.25 or 1/4"
        ) from None


def choice(given: Arguments, name: str, choices: tuple[str, ...]) -> str:
    """The value of an argument that is one of `choices`; by default the first."""
    value = given.get(name, choices[0])
    if value not in choices:
        raise UserError(f"the config argument {name} is '{value}'; it must be one of {', '.join(choices)}")
    return value
