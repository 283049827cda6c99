"""Every public model, for the contract suite, the benchmark and the command line."""

from __future__ import annotations

from mta_models.models.base import AttributionModel
from mta_models.models.bayesian_hazard import BayesianHazard
from mta_models.models.bayesian_logistic import BayesianLogistic
from mta_models.models.bayesian_markov import BayesianMarkov
from mta_models.models.custom_rule import CustomRule
from mta_models.models.doubly_robust import DoublyRobust
from mta_models.models.hazard import Hazard
from mta_models.models.heuristics import (
    FirstTouch,
    InverseJShaped,
    JShaped,
    LastNonDirect,
    LastTouch,
    Linear,
    PositionBased,
    TimeDecay,
)
from mta_models.models.logistic import Logistic
from mta_models.models.logistic_counts import LogisticCounts
from mta_models.models.markov import Markov
from mta_models.models.milestones import FullPath, MilestoneBased, WShaped
from mta_models.models.probabilistic import SimpleProbabilistic
from mta_models.models.self_controlled import SelfControlled
from mta_models.models.shapley import Shapley

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
    Hazard,
    DoublyRobust,
    Logistic,
    LogisticCounts,
    BayesianHazard,
    BayesianLogistic,
    SelfControlled,
)
