"""Reconstruction without learning: matched filter, Tikhonov, sparse."""
