"""Networks outside Python: export for a fixed sensor, eight-bit weights, latency."""
