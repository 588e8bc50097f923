"""Tables by name that are read or drawn when they are first used."""

from collections.abc import Callable, Iterator, Mapping

import pandas as pd


class LazyTables(Mapping[str, pd.DataFrame]):
    """Tables by name, each read at its first use and kept.

    Every access gives a fresh shallow copy: changing it does not change the kept table.
    """

    def __init__(self, readers: Mapping[str, Callable[[], pd.DataFrame]]) -> None:
        self._readers = dict(readers)
        self._kept: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._kept:
            self._kept[name] = self._readers[name]()
        return self._kept[name].copy(deep=False)

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)
