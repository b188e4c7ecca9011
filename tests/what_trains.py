"""The fields of a config on which the numbers of its run depend."""

from cliptail_jax.config.fields import plain
from cliptail_jax.objectives import FIELDS


def what_trains(config):
    """Their values by dotted key: two configs that agree in them describe the same run."""
    values = plain(config)
    return {field.key: values[field.key] for field in FIELDS if not field.is_incidental}
