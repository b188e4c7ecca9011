"""The arguments of a config file, after its name, as in `clip:data=glyphs_lt,batch_size=64`."""

from collections.abc import Mapping
from fractions import Fraction

from cliptail_jax.host.errors import UserError

Arguments = Mapping[str, str]


def read_only(arg: str, *names: str) -> Arguments:
    """The arguments in `arg`, which may be those of `names`.

    Raises UserError for an unknown argument, and for one that has no value or is given twice.

    >>> read_only("data=glyphs_lt,batch_size=64", "data", "batch_size")
    {'data': 'glyphs_lt', 'batch_size': '64'}
    """
    args: Arguments = {}
    for name, equals, value in (item.partition("=") for item in arg.split(",") if item):
        if args and not equals:
            raise UserError(f"the config argument '{name}' has no value; join several values of one argument by '+'")
        if name not in names:
            raise UserError(
                f"unknown config argument '{name}'; there are {', '.join(names) or 'none'}"
                + ", as NAME=VALUE" * (not equals and bool(names))
            )
        if name in args:
            raise UserError(f"the config argument {name} is given twice")
        if not value:  # as with a shell variable that is not set
            raise UserError(f"the config argument {name} is empty: give it a value, or leave it out")
        args[name] = value
    return args


def number(args: Arguments, name: str, default: int) -> int:
    """The value of an argument, which must be a whole number."""
    if not args.get(name, "0").isdecimal():
        raise UserError(f"the config argument {name} is '{args[name]}'; it must be a whole number")
    return int(args.get(name, default))


def real(args: Arguments, name: str, default: float) -> float:
    """The value of an argument, which must be a number such as 0.25 or 1/4."""
    try:
        return float(Fraction(args.get(name, str(default))))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UserError(
            f"the config argument {name} is '{args[name]}'; it must be a number such as 0.25 or 1/4"
        ) from None


def choice(args: Arguments, name: str, choices: tuple[str, ...]) -> str:
    """The value of an argument, which must be one of `choices`; the first is the default."""
    value = args.get(name, choices[0])
    if value not in choices:
        raise UserError(f"the config argument {name} is '{value}'; it must be one of {', '.join(choices)}")
    return value
