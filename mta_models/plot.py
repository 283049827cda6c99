"""Pictures of results, under the name they have always had: `mta.plot`."""

from mta_models.reporting.plot import *  # noqa: F403 -- the same names, whatever they are
