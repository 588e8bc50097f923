"""Linkage against the simulated truth, against the formula written anew, and against brute force."""

import itertools

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.onetoone import link_records, link_scores, match_arrivals
from crmlab.onetoone.identify import Linkage
from crmlab.onetoone.identify_model import quiet_splink

BLOCKS = ["email", "phone", "address", "birth_date", ("first_name", "last_name")]


@pytest.fixture(scope="module")
def firm():
    return simulate(2_000, seed=1)


@pytest.fixture(scope="module")
def records(firm) -> pd.DataFrame:
    table = firm["identities"]
    return table.assign(address=table["street"] + " " + table["postcode"])


@pytest.fixture(scope="module")
def owner(firm) -> pd.Series:
    return firm.truth["identities"].set_index("record_id")["customer_id"]


@pytest.fixture(scope="module")
def linkage(records) -> Linkage:
    return link_records(records, sample=300_000)


def test_precision_and_recall_are_above_98_per_cent_on_the_default_scenario(linkage, owner):
    scores = link_scores(linkage.clusters(0.5), owner)
    assert scores.table["precision"]["pairs"] > 0.99
    assert scores.table["recall"]["pairs"] > 0.98


def test_relatives_are_merged_if_a_household_counts_three_times(linkage, records, firm, owner):
    naive = link_records(records, households=False, sample=300_000)
    sure = naive.pairs[naive.pairs["probability"] >= 0.99]
    wrong = owner[sure["left"]].to_numpy() != owner[sure["right"]].to_numpy()
    home = firm.truth["families"].set_index("customer_id")["household_id"]
    relatives = home.reindex(owner[sure["left"]]).to_numpy() == home.reindex(owner[sure["right"]]).to_numpy()
    assert wrong.mean() > 0.08
    assert relatives[wrong].mean() > 0.95
    assert link_scores(naive.clusters(0.5), owner).table["precision"]["pairs"] < 0.85
    assert {"phone", "address", "last_name"} <= set(naive.estimates["field"])
    assert set(linkage.estimates["field"]) == {"household", "first_name", "birth_date", "email"}


def test_blocking_makes_exactly_the_pairs_that_agree(records):
    found = link_records(records, sample=100_000)
    rows = found.records.iloc[:400].to_dict("index")
    expected = set()
    for rule in BLOCKS:
        columns = (rule,) if isinstance(rule, str) else rule
        keys = {one: tuple(row[name] for name in columns) for one, row in rows.items()}
        whole = {one: key for one, key in keys.items() if not any(map(pd.isna, key))}
        expected |= {frozenset(pair) for pair in itertools.combinations(whole, 2) if whole[pair[0]] == whole[pair[1]]}
    mine = found.pairs[found.pairs["left"].isin(rows) & found.pairs["right"].isin(rows)]
    assert {frozenset(pair) for pair in zip(mine["left"], mine["right"], strict=True)} == expected
    assert len(mine) == len(expected) > 20


def test_estimates_are_near_what_the_truth_says(linkage, owner):
    pairs, levels = linkage.pairs, linkage.estimates.set_index(["field", "level"])
    same = owner[pairs["left"]].to_numpy() == owner[pairs["right"]].to_numpy()
    sizes = owner.value_counts()
    true_prior = (sizes * (sizes - 1) // 2).sum() / (len(owner) * (len(owner) - 1) / 2)
    assert linkage.prior == pytest.approx(true_prior, rel=0.1)
    for field, place, tolerance in (("first_name", 2, 0.05), ("email", 2, 0.05), ("birth_date", 2, 0.02)):
        seen = pairs.loc[same, f"level_{field}"]
        true_m = (seen[seen >= 0] == place).mean()
        assert levels.loc[(field, "same"), "m"] == pytest.approx(true_m, abs=tolerance), field
    # u of an identifier is mostly the matches among the random pairs, as the docstring warns
    assert levels.loc[("email", "same"), "u"] == pytest.approx(linkage.prior, rel=0.5)
    sums = linkage.estimates.groupby("field")[["m", "u"]].sum()
    assert np.allclose(sums, 1, atol=0.005)


def test_weights_are_the_formula(linkage):
    """Prior plus log2(m/u), with the frequency of the name in place of u where two names are the same."""
    levels, table = linkage.estimates, linkage.records
    frequency = {name: table[name].value_counts(normalize=True) for name in ("first_name", "last_name")}
    ordered = {field: group["m"].to_numpy()[::-1] for field, group in levels.groupby("field", sort=False)}
    others = {field: group["u"].to_numpy()[::-1] for field, group in levels.groupby("field", sort=False)}
    for pair in linkage.pairs.iloc[::300].itertuples():
        total = np.log2(linkage.prior / (1 - linkage.prior))
        for field, m in ordered.items():
            level = getattr(pair, f"level_{field}")
            if level < 0:
                continue
            u = others[field][level]
            if field == "first_name" and level == 2:
                u = frequency["first_name"][table.loc[pair.left, "first_name"]]
            if field == "household" and level == 2:
                u = frequency["last_name"][table.loc[pair.left, "last_name"]]
            total += np.log2(m[level] / u)
        assert pair.weight == pytest.approx(total, abs=1e-6)
        assert pair.probability == pytest.approx(1 / (1 + 2.0**-total), abs=1e-9)


def test_an_explanation_adds_up(linkage):
    for pair in linkage.pairs.iloc[::500].itertuples():
        steps = linkage.explain(pair.right, pair.left)
        assert steps["weight"].sum() == pytest.approx(pair.weight)
        assert steps["total"].iloc[-1] == pytest.approx(pair.weight)
        assert steps["probability"].iloc[-1] == pytest.approx(pair.probability)
        assert steps["probability"].iloc[0] == pytest.approx(linkage.prior)
        assert list(steps["field"])[1:] == ["household", "first_name", "birth_date", "email"]


def test_names_in_different_writing_are_not_compared(linkage, firm):
    signs = firm.truth["identities"].set_index("record_id")["in_characters"]
    across = signs[linkage.pairs["left"]].to_numpy() != signs[linkage.pairs["right"]].to_numpy()
    assert across.sum() > 100
    assert set(linkage.pairs.loc[across, "level_first_name"]) == {-1}
    assert (linkage.pairs.loc[across, "weight_first_name"] == 0).all()
    row = linkage.pairs[across].iloc[0]
    assert "missing" in set(linkage.explain(row["left"], row["right"])["level"])


def test_frequencies_of_names_can_be_left_out(records, linkage):
    plain = link_records(records, name_frequencies=False, sample=300_000)
    same = plain.pairs["level_first_name"] == 2
    assert plain.pairs.loc[same, "weight_first_name"].nunique() == 1
    same = linkage.pairs["level_first_name"] == 2
    assert linkage.pairs.loc[same, "weight_first_name"].nunique() > 50


def test_clusters_are_the_connected_records(linkage):
    for threshold in (0.01, 0.5, 0.99):
        parent = {one: one for one in linkage.records.index}

        def root(one, parent=parent):
            while parent[one] != one:
                one = parent[one]
            return one

        for pair in linkage.pairs[linkage.pairs["probability"] >= threshold].itertuples():
            parent[root(pair.left)] = root(pair.right)
        mine = linkage.clusters(threshold)
        roots = pd.Series({one: root(one) for one in linkage.records.index})
        assert (mine.groupby(roots).nunique() == 1).all()
        assert mine.nunique() == roots.nunique()
    assert (mine.groupby(mine).apply(lambda one: one.index[0] == one.iloc[0])).all()  # named by the first record


def test_the_same_call_gives_the_same_linkage_and_changes_no_table(records, linkage):
    before = records.copy()
    again = link_records(records.sample(frac=1, random_state=3), sample=300_000)
    pd.testing.assert_frame_equal(records, before)
    assert again.prior == pytest.approx(linkage.prior)
    one, other = (
        pd.Series(
            {tuple(sorted(pair)): chance for *pair, chance in found.pairs[["left", "right", "probability"]].to_numpy()}
        )
        for found in (again, linkage)
    )
    pd.testing.assert_series_equal(one.sort_index(), other.sort_index(), atol=1e-6)


def test_text_ids_and_text_dates_give_the_same_scores(records, linkage):
    text = records.assign(
        record_id="R" + records["record_id"].astype(str), birth_date=records["birth_date"].dt.strftime("%Y-%m-%d")
    )
    found = link_records(text, sample=300_000)
    assert len(found.pairs) == len(linkage.pairs)
    assert found.pairs["left"].str.startswith("R").all()
    assert found.clusters(0.5).nunique() == pytest.approx(linkage.clusters(0.5).nunique(), abs=10)


def test_any_two_fields_are_enough(records, owner):
    for fields in (["email", "first_name"], ["birth_date", "last_name"], ["phone", "first_name"]):
        table = records[["record_id", *fields]]
        found = link_records(table, sample=100_000)
        likely = found.pairs[found.pairs["probability"] >= 0.9]
        right = owner[likely["left"]].to_numpy() == owner[likely["right"]].to_numpy()
        assert right.mean() > 0.9, fields
    alone = link_records(records[["record_id", "phone", "address"]], households=False, sample=100_000)
    assert set(alone.estimates["field"]) == {"phone", "address"}


def test_other_columns_can_block(records):
    found = link_records(records, blocking=["email", ("city", "birth_date")], sample=100_000)
    assert list(found.blocking.index) == ["email", "city and birth_date", "all pairs"]
    assert "city" in found.records
    assert found.rules == (("email",), ("city", "birth_date"))


def test_more_pairs_than_wanted_are_refused_before_they_are_made(records):
    with pytest.raises(ContractError, match=r"city alone makes 1,\d{3},\d{3}, its largest block has .* records"):
        link_records(records, blocking=["city"], max_pairs=1_000_000)


def test_arrivals_are_scored_by_the_model_that_is_there(records, linkage):
    known, new = records.iloc[:-200], records.iloc[-200:]
    start = link_records(known, sample=300_000)
    later = match_arrivals(start, new)
    assert list(later.records.index) == list(records["record_id"])
    assert later.settings == start.settings
    assert later.blocking["pairs"].iloc[-1] == len(records) * (len(records) - 1) // 2
    pairs = {frozenset((p.left, p.right)) for p in later.pairs.itertuples()}
    assert pairs == {frozenset((p.left, p.right)) for p in linkage.pairs.itertuples()}
    assert len(pairs) == len(later.pairs)
    old = later.pairs[~later.pairs["left"].isin(new["record_id"]) & ~later.pairs["right"].isin(new["record_id"])]
    by = ["left", "right"]
    pd.testing.assert_frame_equal(
        old.sort_values(by, ignore_index=True), start.pairs.sort_values(by, ignore_index=True)
    )
    within = new["record_id"].isin(later.pairs["left"]) & new["record_id"].isin(later.pairs["right"])
    assert within.any()


def test_an_arrival_can_be_one_record_with_one_field(linkage, records):
    mail = records["email"].dropna().iloc[0]
    later = match_arrivals(linkage, pd.DataFrame({"record_id": [7], "email": [mail]}))
    mine = later.pairs[(later.pairs["left"] == 7) | (later.pairs["right"] == 7)]
    assert len(mine) >= 1
    assert (mine["level_birth_date"] == -1).all()
    alone = match_arrivals(linkage, pd.DataFrame({"record_id": [7], "email": ["nobody@else.example"]}))
    assert len(alone.pairs) == len(linkage.pairs)
    assert alone.clusters(0.5)[7] == 7


def test_the_repr_tells_what_was_done(linkage):
    told = repr(linkage)
    assert "4,129 records" in told
    assert "household, first_name, birth_date, email" in told
    assert "first_name and last_name" in told


def test_splink_is_quiet_only_meanwhile():
    import logging

    logger = logging.getLogger("splink")
    logger.setLevel(logging.DEBUG)
    with quiet_splink():
        assert logger.level == logging.ERROR
    assert logger.level == logging.DEBUG
    logger.setLevel(logging.NOTSET)
