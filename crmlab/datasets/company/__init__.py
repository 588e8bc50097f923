"""A simulated firm whose every number is known: the data source where no real one has the truth.

Every table is drawn from a documented process with random numbers of its own, never by the models that estimate it.
The same seed gives the same firm, whatever the number of processes and whichever tables are looked at.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmlab.contracts import suggest
from crmlab.datasets.company import output
from crmlab.datasets.company.firm import SOURCES, Firm, tables_of
from crmlab.datasets.company.people import PATHS
from crmlab.datasets.company.scenarios import Scenario, checked, parse, scenario, scenario_names
from crmlab.datasets.lazy import LazyTables
from crmlab.errors import ContractError, DataUnavailableError

__all__ = ["Company", "Scenario", "Truth", "open_company", "scenario", "scenario_names", "simulate"]

#: More customers than this are not kept in memory; they are written to a folder, a block at a time.
IN_MEMORY = 100_000
_LONGEST = 20


@dataclass(frozen=True, eq=False, repr=False)
class Truth:
    """What only a simulation knows.

    Attributes
    ----------
    scenario : Scenario
        Every parameter of every process.
    tables : mapping of str to pandas.DataFrame
        What was drawn for each customer, order, assignment, ..., as the data card of ``company`` describes it under
        ``truth/...``; ``truth["customers"]`` is short for ``truth.tables["customers"]``.
    paths : mapping of str to mapping of str to float
        Path coefficients of the attitudes: construct to the constructs that drive it.
    """

    scenario: Scenario
    tables: Mapping[str, pd.DataFrame]
    paths: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: PATHS)

    def __getitem__(self, table: str) -> pd.DataFrame:
        return _found(self.tables, table, "the truth")

    def __repr__(self) -> str:
        return f"<Truth of scenario {self.scenario.name}: {', '.join(self.tables)}>"


@dataclass(frozen=True, eq=False, repr=False)
class Company:
    """A simulated firm: what it can see, and the truth.

    Attributes
    ----------
    firm : Firm
        Scenario, number of customers, seed and years: all that determines it.
    tables : mapping of str to pandas.DataFrame
        What the firm can see, under the contracts; each is drawn or read when it is first used.
        ``company["orders"]`` is short for ``company.tables["orders"]``.
    truth : Truth
        What the firm cannot see.
    """

    firm: Firm
    tables: Mapping[str, pd.DataFrame]
    truth: Truth
    _known: Mapping[str, output.Written] | None = None

    def __getitem__(self, table: str) -> pd.DataFrame:
        return _found(self.tables, table, f"a firm of scenario {self.firm.scenario.name!r}")

    def __repr__(self) -> str:
        told = f"{self.firm.n_customers:,} customers, {self.firm.years} years, seed {self.firm.seed}"
        return f"<Company {self.firm.scenario.name}: {told}; {', '.join(self.tables)}>"

    @cached_property
    def contents(self) -> Mapping[str, output.Written]:
        """Rows and checksum of every table, those of the truth under ``truth/...``.

        The checksum is one of values: equal for the same firm in memory and in a folder, drawn by any number of
        processes.
        """
        return self._known if self._known is not None else output.measure(self.firm)

    def write(
        self, folder: str | Path, *, jobs: int = 1, progress: output.Progress | None = None
    ) -> Mapping[str, output.Written]:
        """Write the firm to a folder of Parquet files, a block of customers at a time.

        Parameters
        ----------
        folder : str or path
            A new or empty folder. It appears when everything is written, or not at all.
        jobs : int, default 1
            Processes that draw. The files do not depend on it.
        progress : callable, optional
            Called after each block with the number of blocks done, of ``company.firm.n_blocks``.

        Returns
        -------
        mapping of str to Written
            Rows and checksum of every table.

        Raises
        ------
        ContractError
            If the folder is in use, or `jobs` is not a positive whole number.
        """
        _check_whole("jobs", jobs, 1, 256)
        return output.write(self.firm, Path(folder), jobs=jobs, progress=progress)


def simulate(n_customers: int, *, seed: int, years: int = 3, scenario: str | Path | Scenario = "grocer") -> Company:
    """Simulate a firm.

    Parameters
    ----------
    n_customers : int
        Customers acquired over all the years.
    seed : int
        The same seed gives the same firm, another seed another one.
    years : int, default 3
        From the opening on 1 January 2022; 1 to 20.
    scenario : str, path or Scenario, default "grocer"
        A name from `scenario_names`, a YAML file of your own, or a `Scenario`.

    Returns
    -------
    Company
        Tables are drawn when they are first used. A firm of more than 100,000 customers is not kept in memory: write
        it to a folder, and open that.

    Raises
    ------
    ContractError
        If an argument is out of its range or there is no such scenario; every wrong parameter is named.

    Examples
    --------
    >>> shop = simulate(200, seed=7, scenario="textbook")
    >>> shop["customers"].shape[0], shop.truth["customers"]["weekly_rate"].mean() < 0.2
    (200, np.True_)
    """
    firm = Firm(
        scenario=checked(scenario) if isinstance(scenario, Scenario) else _scenario(scenario),
        n_customers=_check_whole("n_customers", n_customers, 1, 10**9),
        seed=_check_whole("seed", seed, 0, 2**63 - 1),
        years=_check_whole("years", years, 1, _LONGEST),
    )
    blocks = [firm.block(number) for number in range(firm.n_blocks)] if n_customers <= IN_MEMORY else []

    def read(name: str) -> pd.DataFrame:
        if not blocks:
            raise ContractError(
                f"a firm of {n_customers:,} customers is not kept in memory (at most {IN_MEMORY:,}); "
                "write it to a folder with .write(folder), and open that with open_company(folder)"
            )
        parts = blocks[:1] if SOURCES[name].whole else blocks
        return as_frame(pa.concat_tables([output.drawn(block, name) for block in parts], promote_options="permissive"))

    return _company(firm, read)


def open_company(folder: str | Path) -> Company:
    """Open a firm that was written to a folder by `Company.write` or ``crmlab simulate``.

    Parameters
    ----------
    folder : str or path
        The folder.

    Returns
    -------
    Company
        Tables are read when they are first used.

    Raises
    ------
    DataUnavailableError
        If the folder holds no simulated firm.
    """
    path = Path(folder)
    try:
        told = json.loads((path / output.MANIFEST).read_text(encoding="utf-8"))
        kind = parse(told["scenario"], str(path))
        firm = Firm(kind, told["n_customers"], told["seed"], told["years"])
        known = {name: output.Written(**one) for name, one in told["tables"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path} is not a folder written by `crmlab simulate` ({output.MANIFEST}: {error})"
        raise DataUnavailableError(message) from None
    return _company(firm, lambda name: as_frame(pq.read_table(path / f"{name}.parquet")), known)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas, with plain text columns."""
    plain = [pa.string() if pa.types.is_dictionary(kind) else kind for kind in table.schema.types]
    return table.cast(pa.schema(list(zip(table.column_names, plain, strict=True)))).to_pandas()


def _company(
    firm: Firm, read: Callable[[str], pd.DataFrame], known: Mapping[str, output.Written] | None = None
) -> Company:
    readers = {name: (lambda name=name: read(name)) for name in tables_of(firm.scenario)}
    seen = {name: one for name, one in readers.items() if not name.startswith("truth/")}
    hidden = {name.removeprefix("truth/"): one for name, one in readers.items() if name not in seen}
    return Company(firm, LazyTables(seen), Truth(firm.scenario, LazyTables(hidden)), known)


def _found(tables: Mapping[str, pd.DataFrame], name: str, owner: str) -> pd.DataFrame:
    if name not in tables:
        raise DataUnavailableError(
            f"{owner} has no table {name!r}{suggest(name, tables)}; there are: {', '.join(tables)}"
        )
    return tables[name]


def _scenario(name: str | Path) -> Scenario:
    if not isinstance(name, str | Path):
        raise ContractError(f"scenario must be a name, the path of a file or a Scenario, got {name!r}")
    return scenario(name)


def _check_whole(name: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or not low <= value <= high:
        raise ContractError(f"{name} must be a whole number from {low:,} to {high:,}, got {value!r}")
    return int(value)
