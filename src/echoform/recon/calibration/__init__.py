"""Estimating what a sensor did not know about itself: phases and gains of its pulses and channels."""
