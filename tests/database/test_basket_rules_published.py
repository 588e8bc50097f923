"""Lifts of four rules of the Groceries baskets, from the printed supports, confidences and item counts."""

import pytest

from crmlab.database import rule_measures

PRINTED = 5e-7
"""The lifts are printed to seven digits."""


@pytest.mark.parametrize(
    ("rule", "consequent"), [("MBA-011", "a"), ("MBA-012", "a"), ("MBA-013", "b"), ("MBA-014", "b")]
)
def test_lift_follows_from_the_printed_counts(published, rule, consequent):
    orders, held = published("MBA-001a"), published(f"MBA-003{consequent}")
    both = round(published(f"{rule}a") * orders)
    antecedent = round(both / published(f"{rule}b"))
    found = rule_measures(orders, antecedent, held, both).iloc[0]
    assert found["support"] == pytest.approx(published(f"{rule}a"), abs=5e-9)
    assert found["confidence"] == pytest.approx(published(f"{rule}b"), abs=5e-8)
    assert found["association_lift"] == pytest.approx(published(f"{rule}c"), abs=PRINTED)
