"""Linear measurement operators, one per file, and noise models."""
