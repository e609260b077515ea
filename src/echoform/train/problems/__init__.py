"""Families of sensing problems, one per file."""
