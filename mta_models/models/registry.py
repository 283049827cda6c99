"""Every public model, for the contract suite, the benchmark and the command line."""

from __future__ import annotations

from mta_models.models.base import AttributionModel
from mta_models.models.incremental.bayesian.hazard import BayesianHazard
from mta_models.models.incremental.bayesian.logistic import BayesianLogistic
from mta_models.models.incremental.doubly_robust.doubly_robust import DoublyRobust
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.logistic.counts import LogisticCounts
from mta_models.models.incremental.logistic.logistic import Logistic
from mta_models.models.incremental.one_answer.incremental import Incremental
from mta_models.models.incremental.self_controlled.self_controlled import SelfControlled
from mta_models.models.markov.bayesian import BayesianMarkov
from mta_models.models.markov.markov import Markov
from mta_models.models.rules.by_position import (
    FirstTouch,
    InverseJShaped,
    JShaped,
    LastNonDirect,
    LastTouch,
    Linear,
    PositionBased,
    TimeDecay,
)
from mta_models.models.rules.custom import CustomRule
from mta_models.models.rules.milestones import FullPath, MilestoneBased, WShaped
from mta_models.models.rules.simple_probabilistic import SimpleProbabilistic
from mta_models.models.shapley.shapley import Shapley

ALL_MODELS: tuple[type[AttributionModel], ...] = (
    FirstTouch,
    LastTouch,
    LastNonDirect,
    Linear,
    PositionBased,
    TimeDecay,
    JShaped,
    InverseJShaped,
    WShaped,
    FullPath,
    MilestoneBased,
    CustomRule,
    Markov,
    BayesianMarkov,
    Shapley,
    SimpleProbabilistic,
    Incremental,
    Hazard,
    DoublyRobust,
    Logistic,
    LogisticCounts,
    BayesianHazard,
    BayesianLogistic,
    SelfControlled,
)

# Kept to compare with the literature and with other tools, and suggested nowhere. `LogisticCounts`
# is biased by design. `DoublyRobust` is best, and clearly so, in one world of the benchmark only
# (null_channel), and its default refuses logs in which conversions change exposure.
FOR_COMPARISON: tuple[type[AttributionModel], ...] = (DoublyRobust, LogisticCounts)
