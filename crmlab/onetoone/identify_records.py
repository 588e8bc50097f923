"""Records of persons as they are compared, and how many pairs of them a blocking rule would make."""

import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError

#: The columns that are compared; a table has any of them, two at least.
FIELDS = ("first_name", "last_name", "birth_date", "phone", "email", "address")
NAMES = ("first_name", "last_name")
_FIRST_YEAR, _LAST_YEAR = 1850, 2100

Rule = str | Sequence[str]


def standard_records(
    records: pd.DataFrame, what: str = "record linkage", further: Sequence[str] = (), least: int = 2
) -> pd.DataFrame:
    """The records as they are compared, with ``record_id`` as index.

    Text is in lower case without accents of width, telephone numbers are digits, birth dates are ``YYYYMMDD``; what is
    empty is missing. ``script`` is the writing of the name (``latin``, ``cjk``, ...), so that a name in characters and
    one in letters count as not comparable instead of different. The columns `further` are kept as they are.

    Raises
    ------
    ContractError
        If `records` is no table of persons; every problem is named.
    """
    require_columns(records, ["record_id", *further], what)
    known = [name for name in FIELDS if name in records.columns]
    require_columns(records, known, what)
    ids = records["record_id"]
    problems = _key_problems(ids)
    if len(records) < least:
        problems.append(f"{len(records)} records: {least} are needed")
    columns = {}
    for name in known:
        columns[name], wrong = _standard(name, records[name])
        problems += wrong
    filled = [name for name, values in columns.items() if values.notna().any()]
    if len(filled) < least:
        problems.append(
            f"it has {' and '.join(filled) or 'nothing'} to compare by; {least} of {', '.join(FIELDS)} are needed: "
            "rename your columns to these"
        )
    if problems:
        raise ContractError(f"{what} cannot use this table of records (rows counted from 1)", problems)
    table = pd.DataFrame({name: columns[name].array for name in filled}, index=pd.Index(ids, name="record_id"))
    written = pd.Series("", index=table.index)
    for name in (name for name in NAMES[::-1] if name in filled):
        written = table[name].fillna(written)
    scripts = {one: script_of(one) for one in written.unique()}
    kept = {name: records[name].array for name in further}
    return table.assign(script=written.map(scripts).fillna("").to_numpy(), **kept)


def _key_problems(ids: pd.Series) -> list[str]:
    if not (pd.api.types.is_integer_dtype(ids) or pd.api.types.is_string_dtype(ids.dropna())):
        return [f"record_id is of type {ids.dtype}; make it text or whole numbers"]
    rules = {"record_id: missing": ids.isna(), "record_id: the same twice": ids.duplicated(keep="first") & ids.notna()}
    return broken_rules(rules)


def _standard(name: str, values: pd.Series) -> tuple[pd.Series, list[str]]:
    """A column as text that can be compared, and what is wrong with it."""
    if name == "birth_date" and pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.strftime("%Y%m%d").astype(object).where(values.notna(), None), []
    present = values.notna()
    if not pd.api.types.is_string_dtype(values[present]):
        kind = "dates, or text such as 1990-05-31" if name == "birth_date" else "text, with its leading zeros"
        row = next((row for row, one in enumerate(values, start=1) if not isinstance(one, str) and not pd.isna(one)), 0)
        return values, [f"{name} holds {values.iloc[row - 1]} in row {row}; make it {kind}"] if row else []
    readings = {one: _READ[name](one) for one in values[present].unique()}
    read = values.map(readings, na_action="ignore").astype(object)
    read = read.where(present & (read != ""), None)
    if name != "birth_date":
        return read, []
    year = pd.to_numeric(read.str[:4], errors="coerce")
    wrong = read.notna() & ~((read.str.len() == 8) & year.between(_FIRST_YEAR, _LAST_YEAR))
    return read, broken_rules({"birth_date: text that is not year, month, day (write 1990-05-31)": wrong})


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _digits(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKC", text) if sign.isdigit())


def _address(text: str) -> str:
    return " ".join("".join(sign if sign.isalnum() else " " for sign in _plain(text)).split())


_READ = {
    "first_name": _plain,
    "last_name": _plain,
    "birth_date": _digits,
    "phone": _digits,
    "email": lambda text: _plain(text).replace(" ", ""),
    "address": _address,
}


def script_of(text: str) -> str:
    """The writing of the first letter of a text: ``latin``, ``cjk``, ``cyrillic``, ...; empty if there is none.

    Examples
    --------
    >>> script_of("Wang"), script_of("王"), script_of("12")
    ('latin', 'cjk', '')
    """
    letter = next((sign for sign in text if sign.isalpha()), None)
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0].lower() if letter else ""


def as_rules(rules: "Rule | Sequence[Rule]") -> list[tuple[str, ...]]:
    """Blocking rules as tuples of columns: ``["phone", ("first_name", "last_name")]``."""
    listed = [rules] if isinstance(rules, str) else list(rules)
    if not listed:
        raise ContractError("name at least one column to block on")
    return [(one,) if isinstance(one, str) else tuple(one) for one in listed]


def count_pairs(records: pd.DataFrame, rules: "Rule | Sequence[Rule]") -> pd.DataFrame:
    """Count the pairs that blocking rules would make, before any is made.

    A rule puts records that agree in all of its columns into one block, and compares all pairs within. A block of n
    records makes n (n - 1) / 2 pairs, so counting blocks is enough. Records that lack a value are in no block.

    Parameters
    ----------
    records : pandas.DataFrame
        One row per record, with ``record_id``. Columns that `link_records` compares are counted as it compares them;
        others as they are.
    rules : str, or sequence of str and tuple of str
        One rule each: a column, or several that must all agree.

    Returns
    -------
    pandas.DataFrame
        One row per rule, and one, ``all pairs``, without any: ``records`` in blocks of two or more, ``blocks``,
        ``pairs``, ``share`` of all pairs, ``largest`` block, and its ``value``. The pairs of all rules together are
        at most the sum, as a pair can fulfil several.

    Raises
    ------
    ContractError
        If a column is missing, or no rule is given.

    References
    ----------
    Christen, P. (2012). *Data Matching*, ch. 4. Springer.

    Examples
    --------
    >>> table = pd.DataFrame({"record_id": [1, 2, 3], "phone": ["0501", "0501", None], "last_name": ["Li", "li", "Li"]})
    >>> count_pairs(table, ["phone", ("phone", "last_name"), "last_name"])[["blocks", "pairs", "value", "largest"]]
                         blocks  pairs      value  largest
    phone                     1      1       0501        2
    phone and last_name       1      1  0501 / li        2
    last_name                 1      3         li        3
    all pairs                 1      3                   3
    """
    listed = as_rules(rules)
    used = list(dict.fromkeys(name for rule in listed for name in rule))
    require_columns(records, ["record_id", *used], "count_pairs")
    compared = {name: _standard(name, records[name]) if name in FIELDS else (records[name], []) for name in used}
    problems = [problem for _, wrong in compared.values() for problem in wrong]
    if problems:
        raise ContractError("count_pairs cannot use these columns (rows counted from 1)", problems)
    table = pd.DataFrame({name: values.to_numpy() for name, (values, _) in compared.items()})
    return pair_counts(table, listed)


def pair_counts(table: pd.DataFrame, rules: list[tuple[str, ...]]) -> pd.DataFrame:
    """`count_pairs` of columns that are as they are to be compared."""
    n = len(table)
    rows = {" and ".join(rule): _blocks(table.groupby(list(rule)).size()) for rule in rules}
    rows["all pairs"] = _blocks(pd.Series([n], index=[""]))
    counts = pd.DataFrame(rows).T
    counts["share"] = counts["pairs"] / max(n * (n - 1) // 2, 1)
    kinds = {"records": "int64", "blocks": "int64", "pairs": "int64", "share": "float64", "largest": "int64"}
    return counts[[*kinds, "value"]].astype(kinds)


def _blocks(sizes: pd.Series) -> dict[str, object]:
    sizes = sizes[sizes > 1].sort_values(ascending=False, kind="stable")
    value = sizes.index[0] if len(sizes) else ""
    return {
        "records": int(sizes.sum()),
        "blocks": len(sizes),
        "pairs": int((sizes * (sizes - 1) // 2).sum()),
        "largest": int(sizes.iloc[0]) if len(sizes) else 0,
        "value": " / ".join(map(str, value)) if isinstance(value, tuple) else str(value),
    }


def pairs_within(groups: np.ndarray) -> int:
    """Pairs of equal values among group numbers.

    Examples
    --------
    >>> pairs_within(np.array([1, 1, 1, 2]))
    3
    """
    _, sizes = np.unique(groups, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())


def check_share(name: str, value: float) -> None:
    """Refuse what does not lie between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise ContractError(f"{name} must lie between 0 and 1, got {value!r}")


def check_count(name: str, value: int, least: int) -> None:
    """Refuse what is no whole number of at least `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ContractError(f"{name} must be a whole number of {least:,} or more, got {value!r}")
