"""Fields with other names in earlier versions. Files with these names are read; configs with them are refused."""

from collections.abc import Mapping
from typing import Any

# The current key by the earlier one.
RENAMED = {
    "data.class_match.vocabulary": "data.class_match.classes",
    "data.classes.vocabulary": "data.classes.list",
    "data.balance.vocabulary": "data.balance.classes",
}
# The attributes of a study, of its claims and of their looks by the names in files and configs of earlier versions.
RENAMED_IN_STUDY = {"then": "next_command", "most": "max_replicates"}
RENAMED_IN_CLAIM = {"by": "threshold", "at": "condition", "minus": "reference"}
RENAMED_IN_LOOK = {"most": "max_pairs"}
# Fields that only one optimizer has.
MOVED = {f"optimizer.{field}": f"optimizer.sgd.{field}" for field in ("momentum", "nesterov", "decay_vectors")}
MOVED |= {f"optimizer.{field}": f"optimizer.adamw.{field}" for field in ("b1", "b2", "eps")}


def with_new_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config by dotted key, saved by any version, with today's keys."""
    new_keys = RENAMED | MOVED
    if values.get("optimizer.name") == "lars":
        new_keys["optimizer.momentum"] = "optimizer.lars.momentum"
    return {new_keys.get(key, key): value for key, value in values.items()}


def with_new_names(values: Mapping[str, Any], new_names: Mapping[str, str]) -> dict[str, Any]:
    """The values of an object in a file of any version, with today's names."""
    return {new_names.get(name, name): value for name, value in values.items()}
