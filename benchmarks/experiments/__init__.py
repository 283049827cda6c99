"""Models on experiments with real people: rows confounded on purpose, and ads against placebos."""
