"""Mappings whose values are computed when they are read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


class LazyMapping(Mapping[str, Any]):
    """A mapping from keys to values of a function, each computed once, when it is first read."""

    def __init__(self, keys: Iterable[str], function: Callable[[str], Any]):
        self._keys, self._function, self._values = dict.fromkeys(keys), function, {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        if key not in self._values:
            self._values[key] = self._function(key)
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
