"""How a model server is spoken to."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr


class EndpointConfig(BaseModel, frozen=True, extra="forbid"):
    """Limits and patience of one client for one server."""

    timeout_s: float = Field(120.0, gt=0, description="how long one attempt may take, from the first byte to the last")
    connect_timeout_s: float = Field(5.0, gt=0, description="how long a connection may take to be made")
    retries: int = Field(3, ge=0, le=20, description="attempts after the first one")
    backoff_s: float = Field(
        0.5, ge=0, description="the wait before the first retry; it doubles each time, and half of it is chance"
    )
    backoff_max_s: float = Field(20.0, ge=0, description="no wait is longer, whatever the server asks for")
    breaker_failures: int = Field(
        3, ge=1, description="calls that fail in a row, all their retries included, before the server is left alone"
    )
    breaker_pause_s: float = Field(
        15.0, ge=0, description="how long it is left alone; then one call is let through, and decides"
    )
    max_in_flight: int = Field(32, ge=1, description="requests at once; further ones wait here")
    max_answer_mb: float = Field(64.0, gt=0, description="a longer answer is given up")
    token: SecretStr = Field(SecretStr(""), description="sent as a bearer token; empty = none")
