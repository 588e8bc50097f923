"""The model of linkage as splink computes it: which fields are compared how, and what EM learns about each."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.onetoone.identify_records import FIELDS, NAMES, pair_counts

#: Names at least this near by Jaro-Winkler count as similar; other texts may differ by this many edits.
SIMILAR, EDITS = 0.88, 2
SHARED = ("phone", "address", "last_name")
_GIVEN_BACK = ["match_weight", "match_probability", "record_id_l", "record_id_r"]
#: Pairs that agree in all of these are nearly surely matches; they say how many matches there are.
_SURE = [
    ("email",),
    *[(one, other) for one in ("phone", "address") for other in ("first_name", "birth_date")],
    ("last_name", "birth_date"),
]
_SURE_SHARE = 0.9

Settings = dict[str, Any]


@contextmanager
def quiet_splink() -> Iterator[None]:
    """splink tells every step to its logger; within this only errors are told."""
    logger = logging.getLogger("splink")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _near(column: str) -> str:
    left, right = f"{column}_l", f"{column}_r"
    near = f"abs(length({left}) - length({right})) <= {EDITS} and levenshtein({left}, {right}) <= {EDITS}"
    if column == "address":  # number 15 is no slip for number 17
        digits = [f"regexp_replace({one}, '[^0-9]', '', 'g')" for one in (left, right)]
        near += f" and {digits[0]} = {digits[1]}"
    return f"({near})"


def _missing(column: str) -> str:
    null = f"{column}_l is null or {column}_r is null"
    return f"({null} or script_l <> script_r)" if column in NAMES else f"({null})"


_SWAPPED = (
    "(birth_date_l[1:4] = birth_date_r[1:4] and birth_date_l[5:6] = birth_date_r[7:8]"
    " and birth_date_l[7:8] = birth_date_r[5:6])"
)


def comparisons(fields: Sequence[str], households: bool, frequencies: bool) -> list[Any]:
    """splink's comparisons for the fields that a table has."""
    import splink.comparison_level_library as level
    import splink.comparison_library as library

    def same(name: str) -> Any:
        return level.ExactMatchLevel(name, term_frequency_adjustments=frequencies and name in NAMES)

    def similar(name: str) -> Any:
        if name in NAMES:
            return level.JaroWinklerLevel(name, SIMILAR)
        swapped = f"{_SWAPPED} or levenshtein(birth_date_l, birth_date_r) <= 1"
        return level.CustomLevel(swapped if name == "birth_date" else _near(name))

    def build(name: str, null: str, levels: dict[str, Any]) -> Any:
        told = [one.configure(label_for_charts=label) for label, one in levels.items()]
        missing = level.CustomLevel(null, "missing").configure(is_null_level=True)
        different = level.ElseLevel().configure(label_for_charts="different")
        return library.CustomComparison(output_column_name=name, comparison_levels=[missing, *told, different])

    shared = [name for name in SHARED if name in fields] if households else []
    made = []
    if len(shared) > 1:
        places = [name for name in shared if name != "last_name"]
        levels = {"same " + " or ".join(places): level.CustomLevel(" or ".join(map(_near, places)))}
        if len(places) == 2:
            levels = {"same phone and address": level.CustomLevel(" and ".join(map(_near, places)))} | levels
        if "last_name" in shared:
            levels |= {"same last name": same("last_name"), "similar last name": similar("last_name")}
        made.append(build("household", " and ".join(map(_missing, shared)), levels))
    single = [name for name in fields if len(shared) < 2 or name not in shared]
    made += [build(name, _missing(name), {"same": same(name), "similar": similar(name)}) for name in single]
    return made


def sure_rules(fields: Sequence[str]) -> list[tuple[str, ...]]:
    """Rules that only matches fulfil, for these fields; all fields together where there is no better one."""
    return [rule for rule in _SURE if set(rule) <= set(fields)] or [tuple(fields)]


def train(
    records: pd.DataFrame,
    rules: Sequence[tuple[str, ...]],
    *,
    households: bool,
    frequencies: bool,
    sample: int,
    seed: int,
) -> Settings:
    """Estimate m, u and the share of matches; the settings of a trained splink model.

    u comes from random pairs. m comes from EM in blocks of pairs that agree on one field; every block teaches about
    the other fields, and a field takes the median of what the blocks say.
    """
    from splink import SettingsCreator, block_on

    fields = [name for name in FIELDS if name in records.columns]
    compared = comparisons(fields, households, frequencies)
    if len(compared) < 2:
        raise ContractError(
            f"{', '.join(fields)} are shared by a household and count as one: add first_name, birth_date or email, or "
            "set households=False if no two persons share them"
        )
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=compared,
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in rules],
        unique_id_column_name="record_id",
        retain_intermediate_calculation_columns=True,
    )
    linker, _ = _linker(records, settings)
    sure = sure_rules(fields)
    agree = " or ".join(" and ".join(rule) for rule in sure)
    try:
        linker.training.estimate_probability_two_random_records_match(
            [block_on(*rule) for rule in sure], recall=_SURE_SHARE
        )
    except ValueError:  # splink's word for more matches than pairs
        raise ContractError(
            f"nearly all pairs of records agree in {agree}: make values that stand for nothing missing"
        ) from None
    if not linker.misc.save_model_to_json()["probability_two_random_records_match"]:
        raise ContractError(f"no two records agree in {agree}, so the share of matches cannot be guessed")
    linker.training.estimate_u_using_random_sampling(
        max_pairs=sample, seed=seed, min_count_per_level=None, num_chunks=1
    )
    taught: set[str] = set()
    columns = {name: set(SHARED if name == "household" else [name]) for name in map(_name, compared)}
    for key in _teachers(records, columns, taught):
        many = pair_counts(records[[key]], [(key,)])["pairs"].iloc[0] > sample
        linker.training.estimate_parameters_using_expectation_maximisation(
            block_on(key), estimate_without_term_frequencies=True, max_pairs=sample if many else None
        )
    untaught = sorted(set(columns) - taught)
    if untaught:
        raise ContractError(
            f"nothing can be learnt about {', '.join(untaught)}: too few pairs agree on another field and have it"
        )
    return _floored(dict(linker.misc.save_model_to_json()), len(records), sample)


def _floored(settings: Settings, n: int, sample: int) -> Settings:
    """m and u of at least one pair among those that they are learnt from, also where none was seen."""
    pairs = n * (n - 1) / 2
    least_m = 1 / max(settings["probability_two_random_records_match"] * pairs, 2)
    least_u = 1 / min(pairs, sample)
    for one in _levels(settings):
        one["m_probability"] = max(one.get("m_probability", 0.0), least_m)
        one["u_probability"] = max(one.get("u_probability", 0.0), least_u)
    return settings


def _levels(settings: Settings) -> list[Settings]:
    """All levels of comparison that are not for missing values."""
    levels = [one for comparison in settings["comparisons"] for one in comparison["comparison_levels"]]
    return [one for one in levels if not one.get("is_null_level", False)]


def _name(comparison: Any) -> str:
    return str(comparison.create_output_column_name())


def _teachers(records: pd.DataFrame, columns: dict[str, set[str]], taught: set[str]) -> Iterator[str]:
    """Fields in whose blocks EM runs: identifiers first, names only where a comparison is left without a teacher."""
    for key in ("email", "phone", "address", "birth_date", "last_name", "first_name"):
        others = {name for name, used in columns.items() if key not in used}
        if key not in records.columns or (key in NAMES and others <= taught):
            continue
        if pair_counts(records[[key]], [(key,)])["pairs"].iloc[0] >= 10:
            taught |= others
            yield key


def score(records: pd.DataFrame, settings: Settings, arrivals: pd.DataFrame | None = None) -> pd.DataFrame:
    """Score the pairs that the blocking rules make; with `arrivals` those in which one record at least is new.

    Returns
    -------
    pandas.DataFrame
        ``left``, ``right``, ``weight`` (log2 odds), ``probability``, and for each comparison its level (0 the lowest,
        -1 missing) and its weight, ``level_x`` and ``weight_x``. The frequencies of names are those of `records`.
    """
    linker, table = _linker(records, settings)
    if arrivals is None:
        found = [linker.inference.predict()]
    else:
        for name in NAMES:
            if f"tf_{name}" in _frequency_columns(settings):
                linker.table_management.compute_tf_table(name)
        new = linker._db_api.register(arrivals.reset_index())
        found = [linker.inference.predict_between(table, new), linker.inference.predict_within(new)]
    frame = pd.concat([one.as_pandas_dataframe() for one in found], ignore_index=True)
    names = [comparison["output_column_name"] for comparison in settings["comparisons"]]
    renamed = dict(zip(_GIVEN_BACK, ["weight", "probability", "left", "right"], strict=True))
    pairs = frame[_GIVEN_BACK].rename(columns=renamed)[["left", "right", "weight", "probability"]]
    for name in names:
        adjusted = frame.get(f"mw_tf_adj_{name}", pd.Series(0.0, index=frame.index))
        pairs[f"level_{name}"] = frame[f"gamma_{name}"].astype("int64")
        pairs[f"weight_{name}"] = frame[f"mw_{name}"] + adjusted.fillna(0.0)
    return pairs.sort_values(["weight", "left", "right"], ascending=[False, True, True], ignore_index=True)


def _frequency_columns(settings: Settings) -> set[str]:
    return {f"tf_{one['tf_adjustment_column']}" for one in _levels(settings) if "tf_adjustment_column" in one}


def _linker(records: pd.DataFrame, settings: Any) -> tuple[Any, Any]:
    from splink import DuckDBAPI, Linker

    api = DuckDBAPI()
    table = api.register(records.reset_index())
    return Linker(table, settings, log_level=None), table


def estimates(settings: Settings) -> pd.DataFrame:
    """What was learnt, one row per comparison and level: ``m``, ``u`` and ``weight``, log2 of their ratio."""
    rows = [
        (comparison["output_column_name"], one["label_for_charts"], one["m_probability"], one["u_probability"])
        for comparison in settings["comparisons"]
        for one in comparison["comparison_levels"]
        if not one.get("is_null_level", False)
    ]
    table = pd.DataFrame(rows, columns=["field", "level", "m", "u"])
    return table.assign(weight=np.log2(table["m"] / table["u"]))
