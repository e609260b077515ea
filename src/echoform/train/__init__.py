"""Training: sensing problems without end, losses, and a loop that resumes exactly."""
