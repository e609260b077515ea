"""Posterior sampling: noise schedules and samplers over any denoiser, and denoisers known in closed form."""
