"""Talking to model servers: time limits, retries, a circuit breaker, back-pressure."""
