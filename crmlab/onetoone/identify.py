"""Who is this customer across channels? Probabilistic record linkage by the model of Fellegi and Sunter.

Two records of one person agree in a field with probability m, two records of different persons with probability u. The
log2 of m/u is the weight of an agreement; weights add up to the log odds that two records are of the same person. The
library splink estimates and computes all of this in DuckDB.

References
----------
Fellegi, I. P. & Sunter, A. B. (1969). A theory for record linkage. *Journal of the American Statistical Association*
64, 1183-1210.
Linacre, R. et al. (2022). Splink: free software for probabilistic record linkage at scale. *International Journal of
Population Data Science* 7(3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import require_columns
from crmlab.errors import ContractError
from crmlab.onetoone import identify_model as model
from crmlab.onetoone.identify_records import (
    FIELDS,
    NAMES,
    Rule,
    as_rules,
    check_count,
    check_share,
    pair_counts,
    standard_records,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCKS = [("email",), ("phone",), ("address",), ("birth_date",), NAMES]


@dataclass(frozen=True, eq=False)
class Linkage:
    """Records of persons, and how likely each pair of them is of the same person.

    Attributes
    ----------
    records : pandas.DataFrame
        The records as they were compared, with ``record_id`` as index.
    pairs : pandas.DataFrame
        One row per pair that the blocking made, from the likeliest: ``left``, ``right``, ``weight`` (log2 odds),
        ``probability``, and for each field ``level_x`` (from 0, different, upwards; -1 missing) and ``weight_x``.
    estimates : pandas.DataFrame
        One row per field and level: ``m``, ``u``, ``weight``.
    prior : float
        Share of all pairs of records that are estimated to be of the same person (lambda).
    blocking : pandas.DataFrame
        What the rules were counted to make, see `count_pairs`.
    rules : tuple of tuple of str
        The columns of each rule.
    settings : dict
        The trained model, as splink saves it.
    """

    records: pd.DataFrame
    pairs: pd.DataFrame
    estimates: pd.DataFrame
    prior: float
    blocking: pd.DataFrame
    rules: tuple[tuple[str, ...], ...]
    settings: Mapping[str, Any]

    def clusters(self, threshold: float) -> pd.Series:
        """Persons: records that are joined by pairs of at least this probability, directly or through others.

        Parameters
        ----------
        threshold : float
            Between 0 and 1.

        Returns
        -------
        pandas.Series
            For every record (the index) the first record of its cluster in the order of the table.
        """
        check_share("threshold", threshold)
        linked = self.pairs[self.pairs["probability"] >= threshold]
        places = [self.records.index.get_indexer(pd.Index(linked[side])) for side in ("left", "right")]
        label = components(places[0], places[1], len(self.records))
        return pd.Series(self.records.index[label], index=self.records.index, name="cluster_id")

    def explain(self, left: Any, right: Any) -> pd.DataFrame:
        """Why two records got their weight: the prior, then field by field.

        Parameters
        ----------
        left, right
            The ``record_id`` of two records that the blocking brought together.

        Returns
        -------
        pandas.DataFrame
            One row per step: ``field``, ``left`` and ``right`` (what is compared), ``level``, ``weight``, and ``total``
            and ``probability`` up to this step.

        Raises
        ------
        ContractError
            If the blocking did not make this pair.
        """
        chosen = self.pairs[self.pairs["left"].isin([left, right]) & self.pairs["right"].isin([left, right])]
        if chosen.empty:
            raise ContractError(f"the blocking made no pair of records {left} and {right}")
        pair = chosen.iloc[0]
        names = dict.fromkeys(self.estimates["field"])
        steps = [("before any comparison", "", "", "", np.log2(self.prior / (1 - self.prior)))]
        for name in names:
            labels = self.estimates.loc[self.estimates["field"] == name, "level"].to_list()[::-1]
            place = int(pair[f"level_{name}"])
            level = labels[place] if place >= 0 else "missing"
            steps.append((name, self._shown(left, name), self._shown(right, name), level, pair[f"weight_{name}"]))
        table = pd.DataFrame(steps, columns=["field", "left", "right", "level", "weight"])
        total = table["weight"].cumsum()
        return table.assign(total=total, probability=1 / (1 + 2.0**-total))

    def _shown(self, record: Any, field: str) -> str:
        columns = [one for one in model.SHARED if one in self.records] if field == "household" else [field]
        values = self.records.loc[record, columns]
        return " / ".join("?" if pd.isna(one) else str(one) for one in values)

    def __repr__(self) -> str:
        everything = self.blocking["pairs"].iloc[-1]
        likely = int((self.pairs["probability"] >= 0.5).sum())
        return (
            f"Linkage of {len(self.records):,} records: {len(self.pairs):,} of {everything:,} pairs scored, "
            f"{likely:,} of them more likely than not of one person\n"
            f"  compared by  {', '.join(dict.fromkeys(self.estimates['field']))}\n"
            f"  blocked on   {'; '.join(self.blocking.index[:-1])}\n"
            f"  prior        one pair in {1 / self.prior:,.0f} is of one person"
        )


def link_records(
    records: pd.DataFrame,
    *,
    blocking: Sequence[Rule] | None = None,
    households: bool = True,
    name_frequencies: bool = True,
    max_pairs: int = 5_000_000,
    sample: int = 1_000_000,
    seed: int = 1,
) -> Linkage:
    """Estimate for pairs of records how likely they are of the same person.

    Names count as the same or similar (Jaro-Winkler of at least 0.88), birth dates as the same or with one digit wrong
    or day and month swapped; telephone, e-mail and address as the same with up to two slips of the pen, in an address
    in its letters only. A missing value says nothing, nor do two names in different writing.

    Parameters
    ----------
    records : pandas.DataFrame
        One row per record: ``record_id`` and two or more of ``first_name``, ``last_name``, ``birth_date`` (dates, or
        text such as 1990-05-31), ``phone``, ``email``, ``address``. Other columns serve blocking, or are ignored.
    blocking : sequence of str and tuple of str, optional
        Which pairs are made at all: records that agree in all columns of at least one rule, see `count_pairs`. Default:
        the same e-mail, phone, address, birth date, or first and last name.
    households : bool, default True
        Relatives share phone, address and last name. True: these count once, together, as evidence of a household.
        False: they count as three independent facts, which is right only where no two persons share them.
    name_frequencies : bool, default True
        Let agreement in a rare name weigh more than in a common one.
    max_pairs : int, default 5,000,000
        Refuse before making more pairs than this.
    sample : int, default 1,000,000
        Random pairs from which u is estimated, and the most that EM takes from one block.
    seed : int, default 1
        Of this sample.

    Returns
    -------
    Linkage

    Raises
    ------
    ContractError
        If the table cannot be used, the rules make no pair or more than `max_pairs`, or a field cannot be learnt.

    Notes
    -----
    m and u are never put below one pair among those that they are learnt from.
    u is the share of agreements among random pairs. A few of these are matches. Where hardly anybody else
    shares a value, as with e-mail, they are most of the agreements: u is then near the prior, the weight too small, and
    the probability cautious. Probabilities also rest on independence between fields: hold them against labelled pairs
    (`merge_costs`) before using them.

    Examples
    --------
    >>> from crmlab.datasets.company import simulate
    >>> firm = simulate(600, seed=1)
    >>> table = firm["identities"].assign(address=lambda t: t["street"] + " " + t["postcode"])
    >>> found = link_records(table)
    >>> truth = firm.truth["identities"].set_index("record_id")["customer_id"]
    >>> bool(abs(found.clusters(0.5).nunique() - truth.nunique()) < 0.03 * truth.nunique())
    True
    """
    check_count("max_pairs", max_pairs, 1)
    check_count("sample", sample, 1000)
    check_count("seed", seed, 0)
    rules = [] if blocking is None else as_rules(blocking)
    further = {name: None for rule in rules for name in rule if name not in FIELDS}
    table = standard_records(records, further=list(further))
    rules = rules or [one for one in _BLOCKS if set(one) <= set(table.columns)]
    require_columns(table, list(dict.fromkeys(name for rule in rules for name in rule)), "blocking")
    counted = pair_counts(table, rules)
    most = int(counted["pairs"].iloc[:-1].sum())
    if most > max_pairs:
        first = counted.iloc[:-1].sort_values("pairs", ascending=False).iloc[0]
        raise ContractError(
            f"these rules make up to {most:,} pairs, more than max_pairs={max_pairs:,}; {first.name} alone makes "
            f"{first['pairs']:,}, its largest block has {first['largest']:,} records ({first['value']!r}). Make values "
            "that stand for nothing missing, block on more columns at once, or raise max_pairs"
        )
    if most == 0:
        told = " or ".join(counted.index[:-1]) or "what is blocked on by default"
        raise ContractError(f"no two records agree in {told}; name other rules in blocking")
    with model.quiet_splink():
        settings = model.train(
            table, rules, households=households, frequencies=name_frequencies, sample=sample, seed=seed
        )
        pairs = model.score(table, settings)
    prior = float(settings["probability_two_random_records_match"])
    return Linkage(table, pairs, model.estimates(settings), prior, counted, tuple(rules), settings)


def match_arrivals(linkage: Linkage, arrivals: pd.DataFrame) -> Linkage:
    """Score new records against known ones, and against each other, by the model that is there.

    Nothing is estimated anew, and no pair of known records is made again, so the pairs of `linkage` stay as they are.

    Parameters
    ----------
    linkage : Linkage
        The known records, from `link_records` or from an earlier call of this function.
    arrivals : pandas.DataFrame
        New records with the columns that `linkage` compared; a column that is not there is missing for all.

    Returns
    -------
    Linkage
        Of all records; the arrivals come last.

    Raises
    ------
    ContractError
        If the table cannot be used, or a ``record_id`` is known already.

    Examples
    --------
    >>> from crmlab.datasets.company import simulate
    >>> table = simulate(300, seed=1)["identities"].assign(address=lambda t: t["street"] + " " + t["postcode"])
    >>> known = link_records(table.iloc[:-10])
    >>> match_arrivals(known, table.iloc[-10:]).records.index.equals(pd.Index(table["record_id"]))
    True
    """
    if not isinstance(linkage, Linkage):
        raise ContractError(f"match_arrivals needs a Linkage from link_records, not {type(linkage).__name__}")
    fields = list(linkage.records.columns)
    further = [name for name in fields if name not in (*FIELDS, "script")]
    new = standard_records(arrivals, "match_arrivals", further, least=1).reindex(columns=fields)
    new = new.astype({name: "str" for name in FIELDS if name in fields})  # also where all are missing
    if new.index.inferred_type != linkage.records.index.inferred_type:
        raise ContractError("record_id of the arrivals is of another type than that of the known records")
    again = new.index.intersection(linkage.records.index)
    if len(again):
        raise ContractError(f"{len(again)} arrivals have the record_id of a known record (first: {again[0]})")
    with model.quiet_splink():
        found = model.score(linkage.records, dict(linkage.settings), new)
    pairs = pd.concat([linkage.pairs, found], ignore_index=True)
    pairs = pairs.sort_values("weight", ascending=False, kind="stable", ignore_index=True)
    records = pd.concat([linkage.records, new])
    return replace(linkage, records=records, pairs=pairs, blocking=pair_counts(records, list(linkage.rules)))


def components(left: "NDArray[np.int64]", right: "NDArray[np.int64]", n: int) -> "NDArray[np.int64]":
    """For each of n records the first one that it is joined to, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    return np.asarray(first[label])
