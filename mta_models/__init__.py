"""Multi-touch attribution that names its estimand, keeps its baseline and carries its interval.

Journeys → model → Attribution. First steps, on the simulated log of a shop:

    >>> import mta_models as mta
    >>> log = mta.example_events(n_users=2_000, seed=1)
    >>> columns = {"user": "user", "time": "time", "channel": "channel", "value": "value"}
    >>> journeys = mta.read_events(log, **columns, conversion="conversion", lookback="30d")
    >>> journeys
    Journeys(1,995 journeys, 10,336 touchpoints, 8 channels, 120 conversions, 1,875 nulls)
    >>> result = mta.Markov().fit_attribute(journeys)
    >>> result.estimand
    'removal_effect'
    >>> table = result.to_frame()  # or print(result): credit, share and baseline
    >>> comparison = mta.compare(["LastTouch", "Markov", "Shapley"], journeys)
    >>> interval = mta.bootstrap(mta.Markov(), journeys, n_draws=20, random_state=0).interval()

Read journeys with `read_events`, `read_paths` or `read_wide`; check what they can show with
`diagnose`; estimate what would not have happened without a channel with `Incremental`.
`help(mta.read_events)` and so on explain each name.

Names are imported on first use: importing the package itself is fast. `__init__.pyi` lists them.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
