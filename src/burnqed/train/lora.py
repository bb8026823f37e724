"""LoRA (Hu et al. 2022) by PEFT, with the product written so that a large batch is passed over once."""

from __future__ import annotations

import logging
import types
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.train.config import LoraConfig


def with_lora(causal: Any, lora: LoraConfig, grown: Sequence[int], seed: int) -> Any:
    """A PEFT model around ``causal``: LoRA matrices in float32, and rows of the ``grown`` tokens that learn as well.

    Same seed, same matrices. Raises BadInput for targets that the model has not.
    """
    # bitsandbytes, which peft looks for, says on import that it found no kernels to download.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from peft import LoraConfig as PeftLora
    from peft import get_peft_model
    from peft.tuners.lora.layer import Linear

    targets: str | list[str] = list(lora.targets)
    if targets == ["all-linear"]:
        targets = "all-linear"
    config = PeftLora(
        r=lora.rank,
        lora_alpha=lora.alpha or 2 * lora.rank,  # type: ignore[arg-type]  # any number will do
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
        trainable_token_indices=list(grown) or None,
    )
    with torch.random.fork_rng(devices=[causal.device] if causal.device.type == "cuda" else []):
        torch.manual_seed(child_seed(seed, "lora") % (1 << 63))
        try:
            # peft 0.21 still asks for gradient checkpointing by its old name.
            with warnings.catch_warnings(action="ignore", category=FutureWarning):
                model: Any = get_peft_model(causal, config)
        except ValueError as error:
            raise BadInput(f"lora.targets: {' '.join(str(error).split())[:300]}") from error
    for module in model.modules():
        if isinstance(module, Linear):
            module.forward = types.MethodType(_forward, module)  # type: ignore[method-assign]
    for p in model.parameters():
        if p.requires_grad:
            p.data = p.data.float()
    return model


def _forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``base(x) + scaling · B(A(x))`` of a plain LoRA layer of PEFT; anything more than plain goes PEFT's own way.

    PEFT scales and adds tensors of the output's size. Here the small product A(x) is scaled and the sum is part of the second
    product; with autocast the input stays in its dtype, where PEFT would keep a float32 copy of it. Saves a tenth of a step's
    time at 7B.
    """
    adapters = layer.active_adapters
    plain = len(adapters) == 1 and not (layer.disable_adapters or layer.merged or layer.lora_variant or args or kwargs)
    if not plain:
        return type(layer).forward(layer, x, *args, **kwargs)  # type: ignore[no-any-return]  # PEFT is untyped
    [name] = adapters
    result: Tensor = layer.base_layer(x)
    small = functional.linear(layer.lora_dropout[name](x), layer.lora_A[name].weight) * layer.scaling[name]
    second = layer.lora_B[name].weight
    flat = torch.addmm(result.view(-1, result.shape[-1]), small.view(-1, small.shape[-1]), second.t())
    return flat.view(result.shape)
