"""A register of persons whose numbers are stable, and in which every merge can be taken back."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.onetoone.identify import Linkage, components
from crmlab.onetoone.identify_records import check_share

_LOG = ("kind", "left", "right", "probability", "reason", "undone")


@dataclass(frozen=True, eq=False)
class Register:
    """Who is whom: records, and the log of links that make persons of them.

    A person's number is the number of the first record that came in. So a record that arrives later never changes a
    number that is in use, a merge lets the older number live on, and taking a merge back returns the other one. A
    register never changes: each method returns a new one.

    Attributes
    ----------
    records : pandas.Index
        ``record_id`` in the order in which they came in.
    log : pandas.DataFrame
        One row per event (the index): ``kind`` (``link``, ``decision``, ``review``), ``left``, ``right``,
        ``probability``, ``reason``, and ``undone``, the reason for which it was taken back. A ``review`` joins
        nothing: it asks whether two persons are one.
    """

    records: pd.Index
    log: pd.DataFrame

    @cached_property
    def ids(self) -> pd.Series:
        """The person's number of every record."""
        active = self.log[(self.log["kind"] != "review") & self.log["undone"].isna()]
        left, right = (self.records.get_indexer(pd.Index(active[side])) for side in ("left", "right"))
        founder = components(left, right, len(self.records))
        return pd.Series(self.records[founder], index=self.records, name="person_id")

    def arrive(self, linkage: Linkage, threshold: float) -> "Register":
        """Let new records in: each joins the person of its likeliest link, or founds a person of its own.

        If an arrival is as likely (by `threshold`) of a second person, these two are not merged; the log gets a
        ``review`` of the two.

        Parameters
        ----------
        linkage : Linkage
            From `match_arrivals`; its first records must be those of this register.
        threshold : float
            Probability from which a link is made, between 0 and 1.
        """
        check_share("threshold", threshold)
        known = len(self.records)
        if len(linkage.records) <= known or not linkage.records.index[:known].equals(self.records):
            raise ContractError(
                "arrive needs the Linkage that match_arrivals made of the known records and the new ones, in this order"
            )
        order = pd.Series(np.arange(len(linkage.records)), index=linkage.records.index)
        pairs = linkage.pairs[linkage.pairs["probability"] >= threshold]
        at = np.sort(np.column_stack([order[pairs["left"]], order[pairs["right"]]]), axis=1)
        new = at[:, 1] >= known
        pairs, at = pairs[new], at[new]
        found: list[Any] = [*self.ids, *[None] * (len(order) - known)]
        likely: dict[int, list[tuple[int, float]]] = {}
        for (earlier, place), probability in zip(at, pairs["probability"], strict=True):
            likely.setdefault(place, []).append((earlier, probability))
        events: list[tuple[Any, ...]] = []
        asked: set[tuple[Any, Any]] = set()
        for place in range(known, len(order)):
            record = order.index[place]
            if place not in likely:
                found[place] = record
                continue
            best, probability = likely[place][0]  # pairs come from the likeliest
            mine = found[place] = found[best]
            events.append(("link", order.index[best], record, probability, "arrival", None))
            for earlier, probability in likely[place][1:]:
                other = found[earlier]
                if other != mine and (mine, other) not in asked:
                    asked.add((mine, other))
                    events.append(("review", mine, other, probability, f"arrival {record} is likely of both", None))
        return Register(linkage.records.index, _appended(self.log, events))

    def merge(self, one: Any, other: Any, reason: str) -> "Register":
        """Make one person of two, by decision.

        Parameters
        ----------
        one, other
            Numbers of persons in use.
        reason : str
            For the log.
        """
        in_use = set(self.ids)
        if one == other or not {one, other} <= in_use:
            raise ContractError(f"merge needs the numbers of two persons in use, got {one} and {other}")
        return replace(self, log=_appended(self.log, [("decision", one, other, np.nan, _told(reason), None)]))

    def unmerge(self, event: int, reason: str) -> "Register":
        """Take back a link or a decision: its two sides are two persons again.

        Records that were joined to either side by other links stay with that side. The log keeps the event.

        Parameters
        ----------
        event : int
            Index of the event in `log`.
        reason : str
            For the log.
        """
        if event not in self.log.index or self.log.loc[event, "kind"] == "review":
            raise ContractError(f"event {event!r} is no link and no decision of this register")
        before = self.log["undone"].dropna().get(event)
        if before is not None:
            raise ContractError(f"event {event!r} was taken back already: {before!r}")
        log = self.log.copy()
        log.loc[event, "undone"] = _told(reason)
        return replace(self, log=log)

    def links_of(self, person: Any) -> pd.DataFrame:
        """The active links that hold a person together, weakest first: what to look at before an `unmerge`."""
        members = self.ids.index[self.ids == person]
        if members.empty:
            raise ContractError(f"there is no person {person} in this register")
        active = self.log[(self.log["kind"] != "review") & self.log["undone"].isna()]
        return active[active["left"].isin(members)].sort_values("probability", kind="stable")

    def __repr__(self) -> str:
        kinds = self.log["kind"].value_counts()
        undone = int(self.log["undone"].notna().sum())
        return (
            f"Register of {self.ids.nunique():,} persons with {len(self.records):,} records; log: "
            f"{kinds.get('link', 0):,} links, {kinds.get('decision', 0):,} decisions, {undone:,} taken back, "
            f"{kinds.get('review', 0):,} to review"
        )


def start_register(linkage: Linkage, threshold: float) -> Register:
    """Start a register with the persons that a linkage finds.

    The links are the fewest that hold each cluster together, the likeliest first, so that taking one back splits a
    person in two.

    Parameters
    ----------
    linkage : Linkage
        From `link_records`.
    threshold : float
        Probability from which records are linked, between 0 and 1.

    Returns
    -------
    Register
        With the persons of ``linkage.clusters(threshold)``.

    Raises
    ------
    ContractError
        If `linkage` is none, or `threshold` is out of its range.

    Examples
    --------
    >>> from crmlab.datasets.company import simulate
    >>> from crmlab.onetoone import link_records, match_arrivals
    >>> table = simulate(300, seed=1)["identities"].assign(address=lambda t: t["street"] + " " + t["postcode"])
    >>> known = link_records(table.iloc[:-10])
    >>> start = start_register(known, 0.5)
    >>> later = start.arrive(match_arrivals(known, table.iloc[-10:]), 0.5)
    >>> later.ids.iloc[:-10].equals(start.ids)
    True
    >>> start.unmerge(0, "two persons").ids.nunique() - start.ids.nunique()
    1
    """
    if not isinstance(linkage, Linkage):
        raise ContractError(f"start_register needs a Linkage from link_records, not {type(linkage).__name__}")
    check_share("threshold", threshold)
    pairs = linkage.pairs[linkage.pairs["probability"] >= threshold]
    chosen = pairs[_forest(linkage.records.index, pairs)]
    events = [
        ("link", left, right, probability, "linkage", None)
        for left, right, probability in chosen[["left", "right", "probability"]].itertuples(index=False)
    ]
    return Register(linkage.records.index, _appended(pd.DataFrame(columns=list(_LOG)), events))


def _forest(records: pd.Index, pairs: pd.DataFrame) -> "np.ndarray":
    """Which pairs, from the likeliest, join two groups that are not yet joined (Kruskal)."""
    parent = list(range(len(records)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    chosen = []
    places = [records.get_indexer(pd.Index(pairs[side])).tolist() for side in ("left", "right")]
    for left, right in zip(*places, strict=True):
        one, other = root(left), root(right)
        chosen.append(one != other)
        parent[max(one, other)] = min(one, other)
    return np.array(chosen, dtype=bool)


def _appended(log: pd.DataFrame, events: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    rows = [*log.itertuples(index=False, name=None), *events]
    table = pd.DataFrame(rows, columns=list(_LOG)).astype({"probability": "float64", "undone": "object"})
    return table.rename_axis("event")


def _told(reason: str) -> str:
    if not isinstance(reason, str) or not reason.strip():
        raise ContractError("give a reason, for whoever reads the log")
    return reason
