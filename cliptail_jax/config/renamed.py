"""Config fields that earlier versions had by other names: files with them are read, and configs with them are refused."""

from collections.abc import Mapping
from typing import Any

# By the earlier key: today's.
RENAMED = {
    "data.class_match.vocabulary": "data.class_match.classes",
    "data.classes.vocabulary": "data.classes.list",
    "data.balance.vocabulary": "data.balance.classes",
}
# Fields that only one optimizer has.
MOVED = {f"optimizer.{field}": f"optimizer.sgd.{field}" for field in ("momentum", "nesterov", "decay_vectors")}
MOVED |= {f"optimizer.{field}": f"optimizer.adamw.{field}" for field in ("b1", "b2", "eps")}


def with_new_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config by dotted key, saved by any version, with today's keys."""
    new = RENAMED | MOVED
    if values.get("optimizer.name") == "lars":
        new["optimizer.momentum"] = "optimizer.lars.momentum"
    return {new.get(key, key): value for key, value in values.items()}
