"""Relationships with customers: how long they last, why they end, and what can be done about it.

* `read_spells` checks relationships with begin and end; `survival`, `life_table`, `retention_table` say who stays.
* `purchase_stages` reads life-cycle stages from purchases; `stage_chain`, `time_in_stage`, `absorption`, `order_test`
  treat stages as a Markov chain.
* `person_periods`, `history_before` and `split_in_time` prepare a model of leaving without a look into the future.
* `maximum_profit`, `expected_maximum_profit`, `savings_curve`, `targeting_value` and `ask_at_minimum_risk` say what
  asking the riskiest to stay is worth; `choose_hiatus` and `gone_errors` when silence means gone.
* `erlang_c`, `erlang_a`, `staff_for`, `staffing_curve`, `mean_patience`, `desk_table` say how long callers wait and how
  many agents pay; `orders_after` and `compare_groups` what a problem and its recovery do to buying.
* `two_stage_least_squares` finds what peers do to a purchase; `network`, `choose_seeds`, `reach` how far it spreads;
  `referral_flows` who refers customers to whom.
* `joining_panel`, `group_time_effects`, `effects_by`, `overall_effect` and `encouraged_effect` say what joining a
  programme caused, `two_way_effect` what a regression would have said, `pre_trend_test` and `sensitivity` whether to
  believe it; `point_lots` and `points_liability` what points still cost. Figures are in
  `crmlab.relationship.programme_plots`.
* `importance_performance` reads a path model as a map of where to begin; `net_promoter_score`, `nps_difference` and
  `nps_sample_size` give a recommendation its error; `loyalty_matrix` crosses attitude with behaviour,
  `loyalty_indicators` lays measures side by side, and `double_jeopardy` holds brands against what their size predicts.
  Figures are in `crmlab.relationship.loyalty_plots`.
* `relationship_types` gives segments one of five types by rule, `relationship_economics` says from which margin a type
  pays, `choice_risk` what a wrong one costs; `delivered_value` scores competing offers, and `gap_scores` holds the
  firm's view of a relationship against the customer's. Figures are in `crmlab.relationship.portfolio_plots`.
* Figures are in `crmlab.relationship.plots`, `crmlab.relationship.churn_plots` and `crmlab.relationship.service_plots`.
"""

from crmlab.relationship.brand_loyalty import double_jeopardy
from crmlab.relationship.chains import absorption, order_test, stage_chain, time_in_stage
from crmlab.relationship.churn import history_before, person_periods, split_in_time
from crmlab.relationship.churn_costs import COSTS, ask_at_minimum_risk, savings_curve, targeting_value
from crmlab.relationship.churn_profit import expected_maximum_profit, maximum_profit
from crmlab.relationship.influence import two_stage_least_squares
from crmlab.relationship.lexis import retention_table
from crmlab.relationship.loyalty import importance_performance, loyalty_indicators, loyalty_matrix
from crmlab.relationship.portfolio import relationship_economics, relationship_types
from crmlab.relationship.portfolio_risk import choice_risk
from crmlab.relationship.portfolio_views import delivered_value, gap_scores
from crmlab.relationship.programme import group_time_effects
from crmlab.relationship.programme_averages import effects_by, encouraged_effect, overall_effect, two_way_effect
from crmlab.relationship.programme_panel import joining_panel
from crmlab.relationship.programme_points import point_lots, points_liability
from crmlab.relationship.programme_trends import pre_trend_test, sensitivity
from crmlab.relationship.recommendation import net_promoter_score, nps_difference, nps_sample_size
from crmlab.relationship.recovery import compare_groups, orders_after
from crmlab.relationship.retention import life_table, survival
from crmlab.relationship.service import erlang_a, erlang_c
from crmlab.relationship.service_staffing import desk_table, mean_patience, staff_for, staffing_curve
from crmlab.relationship.silence import choose_hiatus, gone_errors
from crmlab.relationship.spells import read_spells
from crmlab.relationship.stages import purchase_stages
from crmlab.relationship.word_of_mouth import choose_seeds, network, reach, referral_flows

__all__ = [
    "COSTS",
    "absorption",
    "ask_at_minimum_risk",
    "choice_risk",
    "choose_hiatus",
    "choose_seeds",
    "compare_groups",
    "delivered_value",
    "desk_table",
    "double_jeopardy",
    "effects_by",
    "encouraged_effect",
    "erlang_a",
    "erlang_c",
    "expected_maximum_profit",
    "gap_scores",
    "gone_errors",
    "group_time_effects",
    "history_before",
    "importance_performance",
    "joining_panel",
    "life_table",
    "loyalty_indicators",
    "loyalty_matrix",
    "maximum_profit",
    "mean_patience",
    "net_promoter_score",
    "network",
    "nps_difference",
    "nps_sample_size",
    "order_test",
    "orders_after",
    "overall_effect",
    "person_periods",
    "point_lots",
    "points_liability",
    "pre_trend_test",
    "purchase_stages",
    "reach",
    "read_spells",
    "referral_flows",
    "relationship_economics",
    "relationship_types",
    "retention_table",
    "savings_curve",
    "sensitivity",
    "split_in_time",
    "staff_for",
    "staffing_curve",
    "stage_chain",
    "survival",
    "targeting_value",
    "time_in_stage",
    "two_stage_least_squares",
    "two_way_effect",
]
