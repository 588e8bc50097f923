"""Points: every one is followed, the liability is that of a hand-made table, and comes true in a simulated ledger."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.relationship.programme_points import point_lots, points_liability


def ledger(rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "date", "kind", "points"])
    return frame.assign(date=pd.to_datetime(frame["date"]))


TWO = ledger(
    [
        ("a", "2024-01-01", "earn", 60),
        ("b", "2024-01-05", "earn", 30),
        ("a", "2024-02-01", "earn", 60),
        ("a", "2024-03-01", "redeem", -100),
        ("a", "2024-03-01", "earn", 50),
        ("b", "2024-12-31", "expire", -30),
        ("a", "2024-12-31", "redeem", -20),
    ]
)


def test_the_oldest_point_goes_first():
    lots = point_lots(TWO)
    told = [tuple(row) for row in lots.assign(earned=lots["earned"].dt.strftime("%m-%d"))[
        ["customer_id", "earned", "points", "fate"]
    ].itertuples(index=False)]  # fmt: skip
    assert told == [
        ("a", "01-01", 60, "redeem"),
        ("a", "02-01", 40, "redeem"),
        ("a", "02-01", 20, "redeem"),
        ("a", "03-01", 50, "open"),
        ("b", "01-05", 30, "expire"),
    ]
    assert lots["settled"].dt.strftime("%m-%d").tolist()[:3] == ["03-01", "03-01", "12-31"]
    assert lots["settled"].isna().tolist() == [False, False, False, True, False]


MOVES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 90), st.integers(0, 3)), min_size=1, max_size=60)


@settings(max_examples=30, deadline=None)
@given(moves=MOVES)
def test_no_point_is_lost_or_made(moves):
    balance, rows = dict.fromkeys(range(1, 5), 0), []
    for day, (who, points, kind) in enumerate(moves):
        if kind < 2 or balance[who] == 0:
            rows.append((who, day, "earn", points))
        else:
            rows.append((who, day, ["redeem", "expire"][kind - 2], -min(points, balance[who])))
        balance[who] += rows[-1][3]
    book = pd.DataFrame(rows, columns=["customer_id", "day", "kind", "points"])
    book["date"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(book["day"], unit="D")
    lots = point_lots(book)
    sums = lots.groupby(["customer_id", "fate"])["points"].sum()
    for who in book["customer_id"].unique():
        own = book[book["customer_id"] == who]
        assert lots.loc[lots["customer_id"] == who, "points"].sum() == own.loc[own["points"] > 0, "points"].sum()
        assert sums.get((who, "open"), 0) == balance[who]
        for fate in ("redeem", "expire"):
            assert sums.get((who, fate), 0) == -own.loc[own["kind"] == fate, "points"].sum()
    assert (lots["points"] > 0).all()
    gone = lots.dropna(subset="settled")
    assert (gone["settled"] >= gone["earned"]).all()


def test_liability_by_hand():
    """100 points: 20 are redeemed in month 1; of the 80 left, 40 in month 2; 8 expire; 32 are open in month 3."""
    book = ledger(
        [
            (1, "2024-01-01", "earn", 100),
            (1, "2024-01-20", "redeem", -20),
            (1, "2024-02-15", "redeem", -40),
            (1, "2024-03-15", "expire", -8),
            (2, "2024-03-10", "earn", 10),
        ]
    )
    found = points_liability(book, 0.01, as_of="2024-03-20", n=20)
    assert found.outstanding == 42
    # 10 points of member 2 are 10 days old: half exposed in month 1; 32 are in month 3, where nothing is redeemed
    first = 20 / (110 - 5)
    second = (1 - first) * 40 / 80
    assert found.curve["redeemed_so_far"].tolist() == pytest.approx([first, first + second, first + second])
    assert found.redemption.estimate == pytest.approx(10 * (first + second) / 42)
    assert found.money.estimate == pytest.approx(0.1 * (first + second))
    assert found.breakage.estimate == pytest.approx(1 - first - second)
    assert found.ages["points"].tolist() == [10, 0, 32]
    assert "42 points outstanding on 2024-03-20" in repr(found)


def test_reconciles_with_the_ledger_of_the_simulated_firm_and_comes_true():
    """A year ahead: the estimate lies between what was redeemed by then, and that with all that is still open.

    A young ledger has not seen its oldest points, so that two points of percentage are allowed below.
    """
    book = simulate(8_000, seed=3)["points"]
    day = book["date"].max() - pd.Timedelta(days=365)
    then = points_liability(book, 0.01, as_of=day, n=50)
    assert then.outstanding == book.loc[book["date"] <= day, "points"].sum()
    assert then.ages["points"].sum() == then.outstanding
    assert then.ages["money"].sum() == pytest.approx(then.money.estimate)
    lots = point_lots(book)
    held = lots[(lots["earned"] <= day) & ~(lots["settled"] <= day)]
    fate = held.groupby("fate")["points"].sum() / held["points"].sum()
    assert fate["redeem"] - 0.02 <= then.redemption.estimate <= fate["redeem"] + fate["open"]
    assert then.redemption.low < then.redemption.estimate < then.redemption.high


def test_intervals_cover_the_truth_when_members_are_alike():
    """Points leave by constant monthly chances 0.1 and 0.05; in the end two thirds are redeemed, 20 of 25 cover it.

    The curve ends at the oldest month seen; after 20 months less than 4 % of the points are open.
    """
    covered = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n = 150
        month = rng.geometric(0.15, n)
        redeemed = rng.random(n) < 2 / 3
        start = pd.Timestamp("2022-01-15") + pd.to_timedelta(rng.integers(0, 24, n) * 30, unit="D")
        leave = start + pd.to_timedelta(month * 30 - 15, unit="D")
        earn = pd.DataFrame({"customer_id": range(n), "date": start, "kind": "earn", "points": 100})
        kinds = np.where(redeemed, "redeem", "expire")
        out = pd.DataFrame({"customer_id": range(n), "date": leave, "kind": kinds, "points": -100})
        book = pd.concat([earn, out[out["date"] <= "2024-01-15"]]).sort_values("date", kind="stable")
        found = points_liability(book, 0.01, as_of="2024-01-15", n=60, seed=seed)
        covered.append(found.breakage.low <= 1 / 3 + 0.02 and found.breakage.high >= 1 / 3 - 0.02)
    assert sum(covered) >= 20


def test_refusals_name_rows():
    broken = TWO.astype({"points": float}).assign(kind=TWO["kind"].where(TWO.index != 1, "gift"))
    broken.loc[0, "points"] = 0.5
    broken.loc[3, "points"] = 100
    broken.loc[4, "customer_id"] = None
    with pytest.raises(ContractError) as caught:
        point_lots(broken)
    assert caught.value.problems == (
        "customer_id: missing in 1 rows (first: 5)",
        "points: not a whole number other than 0 in 1 rows (first: 1)",
        "kind: none of earn, redeem, expire in 1 rows (first: 2)",
        "points: earned must be above 0, others below in 1 rows (first: 4)",
    )
    with pytest.raises(ContractError, match="balance: below 0"):
        point_lots(TWO.iloc[1:])
    with pytest.raises(ContractError, match="date: runs backwards"):
        point_lots(TWO.iloc[[2, 0]])
    with pytest.raises(ContractError, match="no row"):
        point_lots(TWO.iloc[:0])
    with pytest.raises(ContractError, match="date: not dates"):
        point_lots(TWO.assign(date="2024-01-01"))
    with pytest.raises(ContractError, match="lacks"):
        point_lots(TWO.drop(columns="kind"))
    with pytest.raises(ContractError, match="date: not dates"):
        points_liability(TWO.assign(date="2024-01-01"), 0.01)
    with pytest.raises(ContractError, match="no row"):
        points_liability(TWO, 0.01, as_of="2023-01-01")
    with pytest.raises(ContractError, match="no point was redeemed"):
        points_liability(TWO, 0.01, as_of="2024-01-31")
    for bad in ({"money_per_point": 0}, {"days": 0}, {"n": 5}):
        with pytest.raises(ContractError, match="must be above 0"):
            points_liability(TWO, **({"money_per_point": 0.01} | bad))  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="as_of is not a date"):
        points_liability(TWO, 0.01, as_of="soon")
    assert TWO["points"].tolist() == [60, 30, 60, -100, 50, -30, -20]
