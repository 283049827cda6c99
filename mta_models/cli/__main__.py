"""`python -m mta_models.cli`, where the script `mta-models` is not on the path."""

from mta_models.cli.app import app

app()
