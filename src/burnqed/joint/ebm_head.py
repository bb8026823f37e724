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
    input_scale: float = Field(0.1, gt=0, description="where the learned scale of the features starts")
    temperature: float = Field(1.0, gt=0, description="where the learned temperature starts")
    temperature_floor: float = Field(0.1, gt=0, description="the learned temperature never goes below")
    temperature_ceiling: float = Field(10.0, gt=0, description="nor above")


_MOST_SCALE = math.log(1e4)
SPREAD = 0.1
"""Standard deviation of the energies that training starts with: small, and large enough to learn from."""


class GoalConditionedEnergyHead(nn.Module):
    """``[z_state; z_goal; z_state ⊙ z_goal] → hidden layers → 1``, divided by a learned temperature.

    Every layer has spectral norm 1 (Miyato et al. 2018) by power iteration from a random start; SiLU and dropout follow all
    but the last. The first activation is to be small, so that early energies do not explode. Scaling the first layer's
    weights cannot do that, since its norm is divided out again; a scale on the features does. It is learned: layers of norm 1
    under a fixed scale of 0.1 could not tell two states apart by more than a tenth of the distance of their embeddings.

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
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.input_scale)))

    @property
    def temperature(self) -> Tensor:
        """The learned temperature, within its bounds. Scalar."""
        low, high = math.log(self.config.temperature_floor), math.log(self.config.temperature_ceiling)
        return self.log_temperature.clamp(low, high).exp()

    @property
    def scale(self) -> Tensor:
        """What the features are multiplied by before the first layer. Scalar, within a factor of 10,000 of its setting."""
        start = math.log(self.config.input_scale)
        return self.log_scale.clamp(start - _MOST_SCALE, start + _MOST_SCALE).exp()

    def freeze_gain(self) -> None:
        """Let temperature and scale stay as they are: a margin between energies could be reached by stretching them all."""
        self.log_temperature.requires_grad_(False)
        self.log_scale.requires_grad_(False)

    @torch.no_grad()
    def start_scale(self, z_state: Tensor, z_goal: Tensor, *, spread: float = SPREAD) -> None:
        """Set the scale so that energies of these embeddings [B, D], [B, D] have this standard deviation.

        Embeddings of different models differ in size by orders of magnitude; with a scale that is the same for all, the energies
        of some would be all but equal and gradients vanish. Where all energies are equal the scale stays.
        """
        was = self.training
        self.eval()
        for _ in range(8):  # the layers bend, so the scale is approached, not computed
            found = self.raw(z_state, z_goal).std()
            if not found > 0:
                break
            self.log_scale.add_((spread / found).log().clamp(-3, 3))
        self.train(was)

    def forward(self, z_state: Tensor, z_goal: Tensor) -> Tensor:
        """Energies [B] of embeddings [B, D] and [B, D]."""
        return self.raw(z_state, z_goal) / self.temperature

    def raw(self, z_state: Tensor, z_goal: Tensor) -> Tensor:
        """What the layers say, before the temperature. [B]."""
        x = features(z_state, z_goal) * self.scale
        for layer in self.layers[:-1]:
            x = self.dropout(self.activation(layer(x)))
        return self.layers[-1](x).squeeze(-1)  # type: ignore[no-any-return]  # nn.Module calls are untyped


def features(z_state: Tensor, z_goal: Tensor) -> Tensor:
    """The head's input [B, 3D] of embeddings [B, D] and [B, D]."""
    return torch.cat([z_state, z_goal, z_state * z_goal], dim=-1)
