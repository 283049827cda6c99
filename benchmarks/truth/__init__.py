"""Models on logs whose truth is known: suites, runs, tables and figures."""
