"""One-to-one marketing: identify, differentiate, interact, customise, and know the limits.

* `count_pairs` says what a blocking rule would make, `link_records` how likely two records are of one person, and
  `match_arrivals` does so for new ones; `link_scores` holds clusters against known persons, `sample_pairs` and
  `merge_costs` find a threshold; `golden_records` make one record of several, and `start_register` keeps numbers
  stable and merges reversible. Figures are in `crmlab.onetoone.identify_plots`.
* `customer_profit` takes the cost to serve off each customer's margin, `whale_curve` adds the profits up; `value_tiers`
  sorts into most valuable, most growable and below zero, `needs_segments` finds classes with the same needs, and
  `value_need_grid` crosses the two; `assign_accounts` decides who looks after whom, and `variance_shares` says whether
  products differ or customers. Figures are in `crmlab.onetoone.differentiate_plots`.
* `learn_preferences` says what each customer seems to like, surer with every contact, `value_of_question` what asking
  is worth; `play_bandit` rehearses a plan of testing, `off_policy_value` (with `cross_fit_rewards`) values a rule on
  the log of another; `eligible` and `contact_plan` choose whom to contact under consent, caps and a budget; a
  `Conversation` of `Question`s goes on where it stopped, and what customers stop reaches the consents. Figures are
  in `crmlab.onetoone.interact_plots`.
* `interactions` lay a log out as customers by items, `fit_recommender` and `recommend` make a list for each customer,
  `explain` takes a score apart; `score_recommendations` holds lists against a later period with paired intervals,
  `choice_curve` says how many items must be shown; `pool_stock` and `variety_profit` (of a `VarietyPlan`) say what
  variety costs. Figures are in `crmlab.onetoone.customise_plots`.
* `anonymity` measures how alike the customers of a table are, `generalise` makes it k-anonymous and l-diverse at the
  least loss, `reidentification_risk` says whom an outsider would name, and `unicity` how few purchases single somebody
  out; `private_counts` publishes counts with differential privacy out of a `Budget`. Figures are in
  `crmlab.onetoone.privacy_plots`.
* `sessions` cut a log of clicks into visits, `journey_graph` counts what follows what, `funnel` says where visitors
  drop out; `touch_paths` and `attribute` share conversions out among channels by the usual rules, `shapley` values the
  players of any game; `holdout_effects` measures what each channel caused, `compare_variants` reads a test of two
  pages. Figures are in `crmlab.onetoone.journeys_plots`.
"""

from crmlab.onetoone.customise import interactions
from crmlab.onetoone.customise_models import explain, fit_recommender, recommend
from crmlab.onetoone.customise_scores import choice_curve, score_recommendations
from crmlab.onetoone.customise_variety import VarietyPlan, pool_stock, variety_profit
from crmlab.onetoone.differentiate import customer_profit, whale_curve
from crmlab.onetoone.differentiate_accounts import assign_accounts
from crmlab.onetoone.differentiate_needs import needs_segments
from crmlab.onetoone.differentiate_tiers import value_need_grid, value_tiers
from crmlab.onetoone.differentiate_variance import variance_shares
from crmlab.onetoone.identify import link_records, match_arrivals
from crmlab.onetoone.identify_golden import golden_records
from crmlab.onetoone.identify_records import count_pairs
from crmlab.onetoone.identify_register import start_register
from crmlab.onetoone.identify_scores import link_scores, merge_costs, sample_pairs
from crmlab.onetoone.interact import learn_preferences, value_of_question
from crmlab.onetoone.interact_bandit import play_bandit
from crmlab.onetoone.interact_plan import contact_plan, eligible
from crmlab.onetoone.interact_policy import cross_fit_rewards, off_policy_value
from crmlab.onetoone.interact_talk import Conversation, Question
from crmlab.onetoone.journeys import funnel, journey_graph, sessions
from crmlab.onetoone.journeys_credit import attribute
from crmlab.onetoone.journeys_paths import touch_paths
from crmlab.onetoone.journeys_shapley import shapley
from crmlab.onetoone.journeys_trials import compare_variants, holdout_effects
from crmlab.onetoone.privacy import anonymity, reidentification_risk
from crmlab.onetoone.privacy_counts import Budget, private_counts
from crmlab.onetoone.privacy_generalise import generalise
from crmlab.onetoone.privacy_traces import unicity

__all__ = [
    "Budget",
    "Conversation",
    "Question",
    "VarietyPlan",
    "anonymity",
    "assign_accounts",
    "attribute",
    "choice_curve",
    "compare_variants",
    "contact_plan",
    "count_pairs",
    "cross_fit_rewards",
    "customer_profit",
    "eligible",
    "explain",
    "fit_recommender",
    "funnel",
    "generalise",
    "golden_records",
    "holdout_effects",
    "interactions",
    "journey_graph",
    "learn_preferences",
    "link_records",
    "link_scores",
    "match_arrivals",
    "merge_costs",
    "needs_segments",
    "off_policy_value",
    "play_bandit",
    "pool_stock",
    "private_counts",
    "recommend",
    "reidentification_risk",
    "sample_pairs",
    "score_recommendations",
    "sessions",
    "shapley",
    "start_register",
    "touch_paths",
    "unicity",
    "value_need_grid",
    "value_of_question",
    "value_tiers",
    "variance_shares",
    "variety_profit",
    "whale_curve",
]
