"""Where a candidate's code runs: one locked process that gets arrays and answers with arrays."""
