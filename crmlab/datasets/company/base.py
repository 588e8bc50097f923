"""What every process of the simulated firm stands on: time, random streams, and columns of a table."""

import datetime as dt
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from crmlab.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(ge=-1, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
NotNegative = Annotated[float, Field(ge=0, le=1e9)]
Spread = Annotated[float, Field(ge=0, le=50)]
Number = Annotated[float, Field(ge=-50, le=50)]  # log-odds, slopes, logarithms: further away nothing would change
Count = Annotated[int, Field(ge=1, le=1_000_000)]

#: A table as it is drawn: column name to values, all of one length.
Columns = Mapping[str, Any]

#: The firm opened its doors on this day; every time below is counted in days from here.
START = dt.date(2022, 1, 1)
WEEK = 7.0
MOST_EVENTS = 20_000_000
YEAR = 365.25
_OPENS, _HOURS = 8 * 60, 14 * 60  # the day's events happen between 8:00 and 22:00


def stream(seed: int, process: str, block: int) -> np.random.Generator:
    """The random numbers of one process for one block of customers; they depend on nothing else."""
    key = (zlib.crc32(process.encode()), block)
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(seed, spawn_key=key)))


def horizon(years: int) -> int:
    """Days from the opening to the end of the simulation."""
    return (START.replace(year=START.year + years) - START).days


def dates(times: "Floats") -> np.ndarray:
    """Days since the opening as calendar days; infinite and missing times are missing dates."""
    return _since_opening(np.floor(times), "D")


def stamps(times: "Floats") -> np.ndarray:
    """Days since the opening as minutes of opening hours, in the same order."""
    times = np.where(np.isfinite(times), times, np.nan)
    day = np.floor(times)
    return _since_opening(day * 1440 + _OPENS + np.floor((times - day) * _HOURS), "m")


def _since_opening(counts: "Floats", unit: str) -> np.ndarray:
    known = np.isfinite(counts)
    steps = np.where(known, counts, 0).astype("int64").astype(f"timedelta64[{unit}]")
    moments = np.datetime64(START, "us") + steps.astype("timedelta64[us]")
    return np.where(known, moments, np.datetime64("NaT", "us"))


def months(times: "Floats") -> "Ints":
    """Calendar months since the opening month."""
    return dates(times).astype("datetime64[M]").astype("int64") - np.datetime64(START, "M").astype("int64")


def month_start(month: "Ints | int") -> "Floats":
    """First day of a calendar month counted from the opening month, in days since the opening."""
    first = np.datetime64(START, "M") + np.asarray(month).astype("timedelta64[M]")
    return (first.astype("datetime64[D]") - np.datetime64(START, "D")).astype("float64")


def category(codes: np.ndarray, names: Sequence[str]) -> pa.Array:
    """Text values by their position in `names`; a negative code is a missing value."""
    codes = np.asarray(codes)
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype("int32"), mask=codes < 0), pa.array(list(names)))


def choose(rng: np.random.Generator, weights: np.ndarray) -> "Ints":
    """Draw a column for every row of `weights`, shape (n, k), with probabilities in proportion to the row."""
    edges = np.cumsum(weights, axis=1)
    return (rng.random(len(edges))[:, None] * edges[:, -1:] >= edges[:, :-1]).sum(axis=1)


def counts(rng: np.random.Generator, expected: "Floats", parameter: str) -> "Ints":
    """Poisson counts of events in a block, refused when they would not fit into memory."""
    total = float(np.sum(expected))
    if not total < MOST_EVENTS:
        raise ContractError(
            f"{parameter}: makes {total:.2g} events among at most 4,096 customers, more than {MOST_EVENTS:,}; lower it"
        )
    return rng.poisson(expected)


def distinct(values: "Ints") -> "Ints":
    """The different values in ascending order; quicker here than `numpy.unique`, which hashes."""
    ordered = np.sort(values)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]]


def first_of(rows: "Bools", customer: "Ints", n: int) -> "Ints":
    """For each of `n` customers the first position at which `rows` is true, or -1; `customer` is in ascending order."""
    where = np.flatnonzero(rows)
    owner, at = np.unique(customer[where], return_index=True)
    found = np.full(n, -1)
    found[owner] = where[at]
    return found


def rank(customer: "Ints") -> "Ints":
    """0, 1, ... within each run of equal values."""
    starts = np.flatnonzero(np.r_[True, customer[1:] != customer[:-1]]) if len(customer) else np.array([], dtype=int)
    return np.arange(len(customer)) - np.repeat(starts, np.diff(np.r_[starts, len(customer)]))


def scramble(numbers: "Ints") -> "Ints":
    """Distinct numbers below 2**32 as other distinct ones, in no visible order, so that a key tells nothing."""
    mixed = numbers.astype("uint32") ^ np.uint32(0x9E3779B9)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return (mixed ^ (mixed >> np.uint32(16))).astype("int64")
