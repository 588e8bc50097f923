"""Text into identifiers, numbers and dates: strict, column-wise decisions, every failure with its reason.

Each function takes a raw column and returns a `Parsed` of the same index: typed values (missing where a value could
not be read), the reason for each such value, and notes on what was decided for the column as a whole.
"""

import contextlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crmlab.errors import ContractError

DateOrder = Literal["DMY", "MDY", "YMD"]

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "<na>"})


@dataclass(frozen=True)
class Parsed:
    """A typed column: its values, why a value could not be read (empty where it could), notes on the column."""

    column: pd.Series
    reasons: pd.Series
    notes: tuple[str, ...] = ()


def _no_reasons(raw: pd.Series) -> pd.Series:
    return pd.Series("", index=raw.index, dtype="str")


def _texts(raw: pd.Series) -> pd.Series:
    """A column as text without outer blanks, missing where it holds nothing."""
    texts = raw if isinstance(raw.dtype, pd.StringDtype) else raw.map(str, na_action="ignore")
    texts = texts.astype("str").str.strip()
    return texts.mask(texts.str.lower().isin(MISSING))


def _spread(raw: pd.Series, codes: np.ndarray, values: Sequence[object], dtype: str) -> pd.Series:
    """Values of the distinct texts, spread over the column's rows; missing where the code is -1."""
    distinct = pd.Series([*values, None], dtype=object).astype(dtype)  # type: ignore[call-overload]
    return pd.Series(distinct.array.take(codes), index=raw.index)


# identifiers ---------------------------------------------------------------------------------------------------------


def parse_ids(raw: pd.Series) -> Parsed:
    """Identifiers, kept as given: text stays text (leading zeros too), whole numbers stay whole numbers.

    A float column (whole numbers that a missing value has turned into floats) becomes whole numbers again; beyond 2⁵³
    floats have lost digits, so such rows are refused.
    """
    if raw.dtype == object and pd.api.types.infer_dtype(raw, skipna=True) == "integer":
        with contextlib.suppress(OverflowError):
            raw = raw.astype("Int64")
    if pd.api.types.is_integer_dtype(raw):
        return Parsed(raw, _no_reasons(raw))
    if pd.api.types.is_float_dtype(raw):
        return _float_ids(raw)
    texts = _texts(raw)
    used = texts.dropna()
    if used.empty or not used.str.fullmatch(r"\d+\.0").all():
        return Parsed(texts, _no_reasons(raw))
    note = f"{raw.name!r} was written with a decimal part (like {used.iloc[0]}); the '.0' was taken off"
    return Parsed(texts.str.removesuffix(".0"), _no_reasons(raw), (note,))


def _float_ids(raw: pd.Series) -> Parsed:
    values = raw.astype("Float64")
    exact = (values % 1 == 0) & (values.abs() < 2**53)
    reasons = _no_reasons(raw).mask((~exact).fillna(False).astype(bool), "is not an exact whole number")
    whole = values.where(exact).astype("Int64")
    return Parsed(whole, reasons, (f"{raw.name!r} held floats; they were turned back into whole numbers",))


# numbers -------------------------------------------------------------------------------------------------------------

_CURRENCY = (
    r"(?:US|R|A|C|NZ|HK|NT)?\$|[€£¥₩₹₽₺฿元円원]|(?:AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|Fr|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|"
    r"NZD|PLN|RMB|RUB|SEK|SGD|TRY|TWD|USD|ZAR|kr|zł)\.?"
)
_MONEY = re.compile(
    rf"(?P<open>\()?(?P<sign>[-+−]?)\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[-−]?)\s*"
    rf"(?P<digits>[\d.,](?:[\d., '’]*[\d.,])?)(?P<exponent>e[-+]?\d+)?\s*(?P<after>{_CURRENCY})?\s*(?P<last>[-−]?)"
    r"(?P<close>\))?",
    re.IGNORECASE,
)
_PLAIN = r"[-+]?\d+(?:\.(?:\d{1,2}|\d{4,}))?"  # a number that needs no decision; three decimals might be thousands
_INFINITE = {"inf": np.inf, "+inf": np.inf, "-inf": -np.inf, "infinity": np.inf, "-infinity": -np.inf}


def _style(group: str, mark: str) -> re.Pattern[str]:
    grouped = rf"[1-9]\d{{0,2}}(?P<by>[{group} '’])(?:\d{{2,3}}(?P=by))*\d{{3}}"
    return re.compile(rf"(?:\d+|{grouped})(?:[{mark}]\d*)?|[{mark}]\d+")


#: Decimal mark to the form that numbers have with it; "1,234" has both forms, "1,23" and "1.234,5" have one.
_STYLES = {".": _style(",", "."), ",": _style(".", ",")}


@dataclass(frozen=True)
class _Number:
    """What a text can mean: decimal mark to value, and the currency written beside it."""

    meanings: Mapping[str, float]
    currency: str = ""

    @property
    def certain(self) -> bool:
        """Whether every decimal mark that fits gives one and the same value."""
        return len(set(self.meanings.values())) == 1


def _read_number(text: str) -> _Number:
    plain = unicodedata.normalize("NFKC", text).strip()
    if plain.lower() in _INFINITE:
        return _Number(dict.fromkeys(_STYLES, _INFINITE[plain.lower()]))
    match = _MONEY.fullmatch(plain)
    negative = [bool(match[g] in "-−" and match[g]) for g in ("sign", "inner", "last")] if match else []
    if match is None or bool(match["open"]) != bool(match["close"]) or sum(negative) + bool(match["open"]) > 1:
        return _Number({})
    whole_price = match["last"] and match["digits"][-1] in ".,"  # "5,-" is five, not minus five
    sign = -1 if (any(negative) and not whole_price) or match["open"] else 1
    values = {
        mark: sign * float(re.sub(rf"[^\d{mark}]", "", match["digits"]).replace(",", ".") + (match["exponent"] or ""))
        for mark, style in _STYLES.items()
        if style.fullmatch(match["digits"])
    }
    return _Number(values, match["before"] or match["after"] or "")


def parse_numbers(raw: pd.Series) -> Parsed:
    """Numbers, also as people write money: ``€1.234,50``, ``$1,234.50``, ``(12.00)``, ``12.00-``, ``1 234,5 kr``.

    Whether comma or point is the decimal mark is decided for the column, from the values that only one of them fits.
    Where values speak for both, those that could be either are refused; where none speaks, the point is taken, with a
    note.
    """
    if pd.api.types.is_numeric_dtype(raw) and not pd.api.types.is_bool_dtype(raw):
        return Parsed(raw.astype("float64"), _no_reasons(raw))
    written = _texts(raw)
    if written.dropna().str.fullmatch(_PLAIN).all():
        return Parsed(written.astype("float64"), _no_reasons(raw))
    codes, texts = pd.factorize(written)
    numbers = [_read_number(text) for text in texts]
    mark, notes = _decide_mark(str(raw.name), dict(zip(texts, numbers, strict=True)))
    values = [next(iter(n.meanings.values())) if n.certain else n.meanings.get(mark) for n in numbers]
    unread = ["could have a decimal comma or a decimal point" if n.meanings else "is not a number" for n in numbers]
    reasons = ["" if value is not None else reason for value, reason in zip(values, unread, strict=True)]
    return Parsed(_spread(raw, codes, values, "float64"), _spread(raw, codes, reasons, "str").fillna(""), notes)


def _decide_mark(column: str, numbers: Mapping[str, _Number]) -> tuple[str, tuple[str, ...]]:
    """The decimal mark of a column ("" when its values contradict each other), and notes."""
    speaking = Counter(mark for n in numbers.values() if len(n.meanings) == 1 for mark in n.meanings)
    open_texts = [text for text, n in numbers.items() if n.meanings and not n.certain]
    mark = "" if len(speaking) == 2 else next(iter(speaking), ".")
    notes = []
    if mark == ",":
        notes.append(f"{column!r} has decimal commas")
    if open_texts and not speaking:
        read = f"{open_texts[0]!r} was read as {numbers[open_texts[0]].meanings['.']:.10g}"
        notes.append(f"{column!r}: {read}, since no value of the column shows which its decimal mark is")
    if len(speaking) == 2:
        notes.append(f"{column!r} mixes decimal commas and decimal points")
    currencies = sorted({n.currency for n in numbers.values() if n.currency})
    if len(currencies) > 1:
        notes.append(f"{column!r} has several currencies ({', '.join(currencies)}); nothing was converted")
    return mark, tuple(notes)


# dates ---------------------------------------------------------------------------------------------------------------

_CLOCK = re.compile(
    r"(?:[T ,]\s*(?P<H>[01]?\d|2[0-3]):(?P<M>[0-5]\d)(?::(?P<S>[0-5]\d)(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?:(?P<half>[AP])\.?M\.?)?)?\s*(?P<zone>Z|UTC|GMT|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?",
    re.IGNORECASE,
)
#: Where the clock begins; a column has few days and few times of day, but many moments, so the two are read apart.
_SPLIT = r"(?is)^(?P<day>.*?)(?P<clock>(?:[T ,]\s*\d{1,2}:\d|\s*(?:Z|UTC|GMT|[+-]\d{2}:\d{2})$).*)?$"
_DAY_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?P<y>\d{4})(?P<by>[-/.])(?P<m>\d{1,2})(?P=by)(?P<d>\d{1,2})",
        r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
        r"(?P<y>\d{4})年(?P<m>\d{1,2})月(?P<d>\d{1,2})日",
        r"(?P<a>\d{1,2})(?P<by>[-/.])(?P<b>\d{1,2})(?P=by)(?P<c>\d{4}|\d{2})",
        r"(?P<d>\d{1,2})(?P<by>[-/. ])(?P<m>[A-Z]{3,9})\.?(?P=by)(?P<y>\d{4})",
        r"(?P<m>[A-Z]{3,9})\.? (?P<d>\d{1,2}),? (?P<y>\d{4})",
    )
]
_SHORT_YEAR = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d{2}")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_ORDERS: dict[DateOrder, str] = {"DMY": "day/month/year", "MDY": "month/day/year", "YMD": "year/month/day"}


def _read_day(text: str) -> dict[DateOrder, datetime]:
    """What a text can mean: order of day, month and year to the day, for each order that gives a real one."""
    match = next(filter(None, (form.fullmatch(text) for form in _DAY_FORMS)), None)
    if match is None:
        return {}
    part = match.groupdict()
    numbers = (part["a"], part["b"], part["c"]) if "a" in part else ()
    days = {}
    for order in _ORDERS:
        named = dict(zip(order, numbers, strict=True)) if numbers else {"Y": part["y"], "M": part["m"], "D": part["d"]}
        if day := _day(named["Y"], named["M"], named["D"]):
            days[order] = day
    return days


def _day(year: str, month: str, day: str) -> datetime | None:
    if len(year) == 2:
        year = f"{'20' if year < '69' else '19'}{year}"
    if len(year) != 4 or len(day) > 2:
        return None
    try:
        return datetime(int(year), int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1, int(day))
    except ValueError:
        return None


def _read_clock(text: str) -> tuple[timedelta | None, timedelta | None]:
    """Time since midnight, None when there is no such time; and the offset from UTC, None when none is written."""
    match = _CLOCK.fullmatch(text)
    if match is None or (match["half"] and not 1 <= int(match["H"]) <= 12):
        return None, None
    hour, minute, second = (int(match[name] or 0) for name in "HMS")
    if match["half"]:
        hour = hour % 12 + 12 * (match["half"].upper() == "P")
    microsecond = int((match["f"] or "0").ljust(6, "0")[:6])
    time = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microsecond)
    return time, _offset(match["zone"])


def _offset(zone: str | None) -> timedelta | None:
    if zone is None or zone[0] not in "+-":
        return timedelta(0) if zone else None
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    return (1 if zone[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes)


def parse_dates(raw: pd.Series, order: DateOrder | None = None, time_zone: str | None = None) -> tuple[Parsed, str]:
    """Dates and times, and the order of day, month and year in which they were read (empty when it plays no part).

    Parameters
    ----------
    raw : pandas.Series
        Time stamps, text, or whole numbers like 19970131.
    order : {"DMY", "MDY", "YMD"}, optional
        Order in dates like 03/04/2024; needed when the column itself does not settle it.
    time_zone : str, optional
        Zone that stamps with an offset are converted to; without it they keep the local time they were written in.

    Raises
    ------
    ContractError
        If the order is open and not stated, or there is no such time zone.
    """
    zone = _zone_info(time_zone)
    if pd.api.types.is_datetime64_any_dtype(raw):
        return _stamps(raw, zone), ""
    texts = _texts(raw).str.normalize("NFKC").str.strip()
    if pd.api.types.is_float_dtype(raw):
        texts = texts.str.removesuffix(".0")
    parts = pc.extract_regex(pa.array(texts, pa.large_string()), _SPLIT)
    day_codes, day_texts = pd.factorize(pc.struct_field(parts, "day").to_pandas())
    clock_codes, clock_texts = pd.factorize(pc.struct_field(parts, "clock").to_pandas())
    readings, clocks = [_read_day(text) for text in day_texts], [_read_clock(text) for text in clock_texts]
    decided = order or _decide_order(str(raw.name), list(day_texts), readings)
    days = _spread(raw, day_codes, [reading.get(decided) for reading in readings], "datetime64[us]")
    values = days + _spread(raw, clock_codes, [time for time, _ in clocks], "timedelta64[us]")
    notes = []
    if any(offset is not None for _, offset in clocks):
        offsets = _spread(raw, clock_codes, [offset for _, offset in clocks], "timedelta64[us]")
        values = _shift(values, offsets, zone) if zone else values
        notes.append(_zone_note(str(raw.name), time_zone))
    if any(_SHORT_YEAR.fullmatch(text) for text in day_texts):
        notes.append(f"{raw.name!r} has years of two digits; they were read as 1969 to 2068")
    unread = f"is not a date in the order {_ORDERS[order]}" if order else "is not a date"
    reasons = _no_reasons(raw).mask(values.isna() & texts.notna(), unread)
    mattered = any(len(reading) < 3 or len(set(reading.values())) > 1 for reading in readings if reading)
    return Parsed(values, reasons, tuple(notes)), decided if mattered else ""


def _shift(moments: pd.Series, offsets: pd.Series, zone: ZoneInfo) -> pd.Series:
    """Local times with an offset as local times of a zone; those without one stay."""
    there = (moments - offsets).dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    return moments.where(offsets.isna(), there)


def _decide_order(column: str, texts: Sequence[str], readings: Sequence[dict[DateOrder, datetime]]) -> DateOrder:
    """The only order that reads every date of the column; orders that give the same dates count as one."""
    dated = [(text, reading) for text, reading in zip(texts, readings, strict=True) if reading]
    fitting = [order for order in _ORDERS if all(order in reading for _, reading in dated)]
    open_text = next((t for t, reading in dated if len({reading[o] for o in fitting}) > 1), None)
    if fitting and open_text is None:
        return fitting[0]
    ask = "state date_order='DMY', 'MDY' or 'YMD' (in a chapter, among columns: date_order=DMY)"
    if fitting:
        orders = " or ".join(_ORDERS[order] for order in fitting)
        raise ContractError(f"the dates of {column!r} can be read as {orders}, {open_text!r} for one; {ask}")
    counts = [f"{name} fits {sum(o in reading for _, reading in dated):,}" for o, name in _ORDERS.items()]
    odd = {tuple(reading): text for text, reading in reversed(dated) if len(reading) < len(_ORDERS)}
    listed = ", ".join(map(repr, [*odd.values()][:3]))
    raise ContractError(
        f"the dates of {column!r} are written in more than one order ({listed}): of {len(dated):,} different dates "
        f"{', '.join(counts)}; {ask}; the others will be rejected"
    )


def _zone_info(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ContractError(f"there is no time zone {name!r}; give a name like 'Europe/Paris' or 'UTC'") from None


def _stamps(raw: pd.Series, zone: ZoneInfo | None) -> Parsed:
    notes: tuple[str, ...] = ()
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        notes = (_zone_note(str(raw.name), str(zone) if zone else None),)
        raw = (raw.dt.tz_convert(zone) if zone else raw).dt.tz_localize(None)
    return Parsed(raw.astype("datetime64[us]"), _no_reasons(raw), notes)


def _zone_note(column: str, time_zone: str | None) -> str:
    done = f"they were converted to {time_zone}" if time_zone else "the local time as written was kept"
    return f"{column!r} has time zones; {done}"
