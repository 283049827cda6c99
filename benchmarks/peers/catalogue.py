"""Packages that we compare with, their versions, and which of their models we run.

A model's `definition` names the exact definition that it is compared with, as computed by
`benchmarks.peers.definitions`: the one that its own documentation describes, or the nearest one.
Empty: it has a definition of its own that nobody else uses, and only its time, memory and sum of
credits are reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ADAPTERS = Path(__file__).resolve().parent / "adapters"
OURS = "mta_models"


@dataclass(frozen=True)
class Model:
    """One model of a package.

    Attributes:
        name: what its adapter calls it.
        definition: the exact definition that it is compared with; empty if there is none.
        note: a remark for readers of its numbers.
    """

    name: str
    definition: str = ""
    note: str = ""


@dataclass(frozen=True)
class Peer:
    """A package, as it is installed and run.

    Attributes:
        name: of the distribution.
        version: the version that is run.
        module: the module imported to check the installation.
        adapter: a script that its own Python runs: `adapter.py MODEL FILE`.
        models: the models that the adapter can run.
        needs: further requirements, each with its reason in a comment below.
    """

    name: str
    version: str
    module: str
    adapter: Path
    models: tuple[Model, ...]
    needs: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip is asked for."""
        return (f"{self.name}=={self.version}", *self.needs)


_RULES = {
    "first touch": "FirstTouch()",
    "last touch": "LastTouch()",
    "linear": "Linear()",
    "linear, unique": "Linear(unique=True)",
    "position based": "PositionBased()",
}


def _rules(*names: str) -> tuple[Model, ...]:
    return tuple(Model(name, _RULES[name]) for name in names)


_EXACT_SET = "its v(S) counts only journeys of exactly the channels S; one never seen counts as 0"
_OWN_MATCH = "no definition of ours: what it returns is only checked for its sum"


def _own_version() -> str:
    try:
        return version(OURS)
    except PackageNotFoundError:
        return "from its source"


_OURS = Peer(
    OURS,
    _own_version(),
    "mta_models",
    ADAPTERS / "run_ours.py",
    (
        *_rules(*_RULES),
        Model("Markov, order 1", "Markov(order=1)"),
        Model("Markov, order 2", "Markov(order=2)"),
        Model("Markov, order 3", "Markov(order=3)"),
        Model("Markov, fail", "Markov(removal='fail')"),
        Model("Markov, detour", "Markov(removal='detour')"),
        Model("Shapley, conversions", "Shapley('conversions')"),
        Model("Shapley, rate", "Shapley('rate')"),
        Model("Shao and Li", "SimpleProbabilistic()"),
    ),
)

_CHANNEL_ATTRIBUTION = Peer(
    "ChannelAttribution",
    "2.2.5",
    "ChannelAttribution",
    ADAPTERS / "run_channel_attribution.py",
    (
        *_rules("first touch", "last touch", "linear"),
        Model("Markov, order 1", "Markov(order=1)", "simulated, its own stopping rule"),
        Model("Markov, order 2", "Markov(order=2)", "simulated, its own stopping rule"),
        Model("Markov, order 3", "Markov(order=3)", "simulated, its own stopping rule"),
        Model(
            "Markov, order 1, tighter",
            "Markov(order=1)",
            "simulated, stops at 1 % (conv_par=0.01), paths of any length (max_step=1000)",
        ),
    ),
    # It imports these two and does not declare them.
    needs=("matplotlib", "pandas"),
)

_MAM = Peer(
    "marketing-attribution-models",
    "2.1.1",
    "mam",
    ADAPTERS / "run_marketing_attribution_models.py",
    (
        *_rules("first touch", "last touch", "linear", "position based"),
        Model(
            "Markov, order 1",
            "Markov(order=1)",
            "splits each conversion over its journey's touchpoints by removal effect",
        ),
        Model(
            "Markov, order 1, removal effects",
            "Markov(order=1)",
            "its removal effects, normalised by the adapter",
        ),
        Model(
            "Shapley, rate",
            "Shapley('rate')",
            f"max_size=None; {_EXACT_SET}",
        ),
        Model(
            "Shapley, conversions",
            "Shapley('conversions')",
            f"max_size=None; {_EXACT_SET}",
        ),
        Model(
            "Shapley, rate, default size",
            "Shapley('rate')",
            f"max_size=4 keeps the last four names of the alphabet; {_EXACT_SET}",
        ),
    ),
)

_MTA = Peer(
    "mta",
    "0.0.9",
    "mta",
    ADAPTERS / "run_mta.py",
    (
        *_rules(*_RULES),
        Model("time decay", "", f"weights 1, 2, 3, … over distinct channels; {_OWN_MATCH}"),
        Model(
            "Markov, order 1",
            "Markov(order=1)",
            "sums over the paths seen to convert, not over all paths of the chain",
        ),
        Model("Shapley, conversions", "Shapley('conversions')"),
        Model(
            "Shao and Li",
            "SimpleProbabilistic()",
            "adds up scores path by path, over the pairs of that path",
        ),
    ),
)

_DO_ATTRIBUTION = Peer(
    "do-attribution",
    "0.0.2",
    "do_attribution",
    ADAPTERS / "run_do_attribution.py",
    (
        Model("Markov, order 1", "Markov(order=1)", "removal_strategy='redirect_to_null'"),
        Model("Markov, order 2", "Markov(order=2)", "removal_strategy='redirect_to_null'"),
        Model("Markov, fail", "Markov(removal='fail')", "its default removal strategy"),
        Model("Markov, detour", "Markov(removal='detour')", "removal_strategy='detour'"),
        Model("Shapley, conversions", "Shapley('conversions')", _EXACT_SET),
    ),
)

_SHAPLEY_ATTRIBUTION = Peer(
    "shapley-attribution",
    "2.1.0",
    "shapley_attribution",
    ADAPTERS / "run_shapley_attribution.py",
    (
        *_rules("first touch", "last touch", "linear", "position based"),
        Model("time decay", "", f"halves per position; {_OWN_MATCH}"),
        Model("Shapley, conversions", "Shapley('conversions')", "'simplified'"),
        Model(
            "Shapley, ordered",
            "Shapley('conversions')",
            "reads converting journeys only, no outcome",
        ),
        Model(
            "Shapley, Monte Carlo",
            "",
            "gains of a boosted-tree model from no channel to all, times the conversions; "
            f"{_OWN_MATCH}",
        ),
        Model("Shapley, path", "", f"marginal gains of a boosted-tree model; {_OWN_MATCH}"),
    ),
    # Its pictures are imported with it; its requirements name this for its own benchmarks only.
    needs=("matplotlib",),
)

_PYCHATTR = Peer(
    "pychattr",
    "0.2.1",
    "pychattr.channel_attribution",
    ADAPTERS / "run_pychattr.py",
    (
        *_rules("first touch", "last touch", "linear"),
        Model("Markov, order 1", "Markov(order=1)", "10,000 simulated journeys, its default"),
        Model("Markov, order 2", "Markov(order=2)", "10,000 simulated journeys, its default"),
        Model("Markov, order 1, tighter", "Markov(order=1)", "100,000 simulated journeys"),
    ),
    # Its rules put lists into a column of text, which pandas 3 refuses.
    needs=("pandas<3",),
)

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        _CHANNEL_ATTRIBUTION,
        _MAM,
        _MTA,
        _DO_ATTRIBUTION,
        _SHAPLEY_ATTRIBUTION,
        _PYCHATTR,
    )
}
EVERYONE: dict[str, Peer] = {OURS: _OURS, **PEERS}
