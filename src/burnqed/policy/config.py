"""How candidates are drawn from a model."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SamplingConfig(BaseModel, frozen=True, extra="forbid"):
    """Sampling and cleaning; the same for every kind of model policy."""

    samples: int = Field(16, ge=1, le=1024, description="completions drawn for a state")
    temperature: float = Field(1.0, ge=0, le=5, description="0 = the most probable text, once")
    top_p: float = Field(
        0.95, gt=0, le=1, description="draw from the most probable tokens that hold so much probability"
    )
    max_new_tokens: int = Field(64, ge=1, description="tokens of a completion; what does not end by then is dropped")
    max_characters: int = Field(2000, ge=1, description="longer tactics are dropped")
    length_exponent: float = Field(
        0.0, ge=0, le=1, description="rank by log-probability / tokens^this; 1 = the mean of a token"
    )
    first_token_cap: int = Field(
        0, ge=0, description="at most so many candidates with the same first token; 0 = no cap"
    )
    keep_unended: bool = Field(False, description="keep completions that the limit of tokens cut off")
