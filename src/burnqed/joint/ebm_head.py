"""GoalConditionedEnergyHead: from the embeddings of a state and of its theorem to one energy, lower = more provable.

Shapes: ``B`` pairs, ``D`` length of an embedding. With D = 4096 and the default widths it has 27.8 million parameters.
"""

from __future__ import annotations

import itertools
import math

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class HeadConfig(BaseModel, frozen=True, extra="forbid"):
    """The head's shape. It is stored with the weights; all configurations that are compared share it."""

    dim: int = Field(ge=1, description="length of an embedding")
    hidden: tuple[int, ...] = Field((2048, 1024, 512), min_length=1, description="widths of the hidden layers")
    dropout: float = Field(0.15, ge=0, lt=1, description="after every hidden layer, in training")
    power_iterations: int = Field(5, ge=1, description="of the spectral norm, at every training step")
    input_scale: float = Field(0.1, gt=0, description="the features are multiplied by this before the first layer")
    temperature: float = Field(1.0, gt=0, description="where the learned temperature starts")
    temperature_floor: float = Field(0.1, gt=0, description="the learned temperature never goes below")
    temperature_ceiling: float = Field(10.0, gt=0, description="nor above")


class GoalConditionedEnergyHead(nn.Module):
    """``[z_state; z_goal; z_state ⊙ z_goal] → hidden layers → 1``, divided by a learned temperature.

    Every layer has spectral norm 1 (Miyato et al. 2018) by power iteration from a random start; SiLU and dropout follow all
    but the last. The first activation is to be small, so that early energies do not explode. Scaling the first layer's
    weights cannot do that, since its norm is divided out again; ``input_scale`` on the features does, and stays.

    The loss has no temperature of its own: this one is learned, clamped, and to be watched while training.
    """

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        widths = [3 * config.dim, *config.hidden, 1]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Linear(before, after), n_power_iterations=config.power_iterations)
            for before, after in itertools.pairwise(widths)
        )
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout(config.dropout)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))

    @property
    def temperature(self) -> Tensor:
        """The learned temperature, within its bounds. Scalar."""
        low, high = math.log(self.config.temperature_floor), math.log(self.config.temperature_ceiling)
        return self.log_temperature.clamp(low, high).exp()

    def forward(self, z_state: Tensor, z_goal: Tensor) -> Tensor:
        """Energies [B] of embeddings [B, D] and [B, D]."""
        return self.raw(z_state, z_goal) / self.temperature

    def raw(self, z_state: Tensor, z_goal: Tensor) -> Tensor:
        """What the layers say, before the temperature. [B]."""
        x = features(z_state, z_goal) * self.config.input_scale
        for layer in self.layers[:-1]:
            x = self.dropout(self.activation(layer(x)))
        return self.layers[-1](x).squeeze(-1)  # type: ignore[no-any-return]  # nn.Module calls are untyped


def features(z_state: Tensor, z_goal: Tensor) -> Tensor:
    """The head's input [B, 3D] of embeddings [B, D] and [B, D]."""
    return torch.cat([z_state, z_goal, z_state * z_goal], dim=-1)
