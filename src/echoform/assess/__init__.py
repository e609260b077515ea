"""Assessment: metrics, point-target response and, later, uncertainty and detection."""
