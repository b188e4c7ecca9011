"""Checks of sizes that a config gives."""

from cliptail_jax.errors import UserError


def require_multiple(key: str, value: int, factor: int) -> None:
    """Raise UserError unless `value` is divisible by `factor`."""
    if value % factor:
        raise UserError(f"{key}: {value} is not divisible by {factor}; choose a multiple.")


def require_heads(key: str, heads: int, channels: int) -> None:
    """Raise UserError unless `heads` share `channels` equally."""
    if channels % heads:
        raise UserError(f"{key}: {heads} heads do not divide {channels} channels; choose a divisor.")
