"""Golden records: one record per person, made of several by rules of survivorship."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError

Survivor = Literal["recent", "frequent", "source"]


@dataclass(frozen=True, eq=False)
class GoldenRecords:
    """One record per person, and where each value comes from.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per cluster (the index), one column per rule.
    origin : pandas.DataFrame
        Of the same shape: the ``record_id`` that gave the value; missing where no record has one.
    conflicts : pandas.DataFrame
        Of the same shape: whether the records of the cluster hold different values.
    rules : mapping of str to str
        Column to rule.
    """

    table: pd.DataFrame
    origin: pd.DataFrame
    conflicts: pd.DataFrame
    rules: Mapping[str, Survivor]

    def __repr__(self) -> str:
        lines = [f"{len(self.table):,} golden records"]
        for name, rule in self.rules.items():
            filled, fought = self.table[name].notna().mean(), self.conflicts[name].mean()
            lines.append(
                f"  {name:<12} {rule:<9} filled for {filled:.1%}, chosen among different values for {fought:.1%}"
            )
        return "\n".join(lines)


def golden_records(
    records: pd.DataFrame,
    clusters: pd.Series,
    rules: Mapping[str, Survivor],
    *,
    date: str = "recorded_on",
    source: str = "system",
    priority: Sequence[str] = (),
) -> GoldenRecords:
    """Choose for every person and column the value that survives.

    Parameters
    ----------
    records : pandas.DataFrame
        One row per record, with ``record_id`` and the columns named below, as they were written.
    clusters : pandas.Series
        Cluster of every record, with ``record_id`` as index.
    rules : mapping of str to {"recent", "frequent", "source"}
        Column to rule. ``"recent"``: the value of the latest record that has one. ``"frequent"``: the value that most
        records have. ``"source"``: the value of the first source in `priority` that has one. What is missing never
        survives; a tie goes to the more recent record, and then to the one further up.
    date : str, default "recorded_on"
        Column of dates.
    source : str, default "system"
        Column of sources, needed by ``"source"``.
    priority : sequence of str
        Sources from the most to the least trusted; those that are not named come last.

    Returns
    -------
    GoldenRecords

    Raises
    ------
    ContractError
        If a column, a cluster or a date is missing, or a rule is unknown.

    Examples
    --------
    >>> day = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])
    >>> table = pd.DataFrame({"record_id": [1, 2, 3], "recorded_on": day, "phone": ["050", "051", None]})
    >>> table["first_name"] = ["Bill", "William", "William"]
    >>> whole = pd.Series(1, index=[1, 2, 3])
    >>> golden_records(table, whole, {"phone": "recent", "first_name": "frequent"}).table.loc[1].to_list()
    ['051', 'William']
    """
    _check_rules(rules)
    by_source = "source" in rules.values()
    require_columns(records, ["record_id", date, *([source] if by_source else []), *rules], "golden_records")
    if by_source and not priority:
        raise ContractError("the rule 'source' needs priority, the sources from the most to the least trusted")
    if not pd.api.types.is_datetime64_any_dtype(records[date]):
        raise ContractError(
            f"golden_records needs dates in {date!r}, not {records[date].dtype}; use pandas.to_datetime"
        )
    cluster = records["record_id"].map(clusters) if isinstance(clusters, pd.Series) else None
    if cluster is None or clusters.index.has_duplicates:
        raise ContractError("clusters must be a series with every record_id once as its index")
    twice = records["record_id"].duplicated()
    problems = broken_rules(
        {"record_id: the same twice": twice, "no cluster": cluster.isna(), f"{date}: missing": records[date].isna()}
    )
    if problems:
        raise ContractError("golden_records cannot use these records (rows counted from 1)", problems)
    latest_first = records.assign(cluster_id=cluster.to_numpy()).sort_values(date, ascending=False, kind="stable")
    people = pd.Index(sorted(latest_first["cluster_id"].unique()), name="cluster_id")
    table, origin, conflicts = {}, {}, {}
    for name, rule in rules.items():
        held = latest_first.dropna(subset=[name])
        if rule == "frequent":
            many = held.groupby(["cluster_id", name])["record_id"].transform("size")
            held = held.assign(rank=-many)
        elif rule == "source":
            place = {one: rank for rank, one in enumerate(priority)}
            held = held.assign(rank=held[source].map(place).fillna(len(place)))
        else:
            held = held.assign(rank=0)
        first = held.sort_values("rank", kind="stable").drop_duplicates("cluster_id").set_index("cluster_id")
        table[name], origin[name] = first[name].reindex(people), first["record_id"].reindex(people)
        conflicts[name] = (held.groupby("cluster_id")[name].nunique() > 1).reindex(people, fill_value=False)
    return GoldenRecords(pd.DataFrame(table), pd.DataFrame(origin), pd.DataFrame(conflicts), dict(rules))


def _check_rules(rules: Mapping[str, Survivor]) -> None:
    if not isinstance(rules, Mapping) or not rules:
        raise ContractError("rules say for each column which value survives: {'phone': 'recent'}")
    known = get_args(Survivor)
    wrong = [f"{name!r}: {rule!r}" for name, rule in rules.items() if rule not in known]
    if wrong:
        raise ContractError(f"a rule is one of {', '.join(known)}", wrong)
