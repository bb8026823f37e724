"""A model from a folder on disk. Nothing is ever fetched, no code of the folder is run, no pickle is opened."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from burnqed.core.errors import BadInput, ModelError
from burnqed.models.fingerprint import folder_hash

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
QUANTIZATIONS = ("none", "int8", "nf4")


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode and what its card says of it."""

    model: Any
    tokenizer: Any
    model_hash: str
    tokenizer_hash: str
    dtype: str
    quantization: str


def load_folder(path: Path, *, device: str = "auto", dtype: str = "auto", quantization: str = "none") -> Loaded:
    """Load a causal language model of Hugging Face's format.

    ``device`` is ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:1``; ``dtype`` is ``auto`` (the checkpoint's own
    on a GPU, float32 on a processor) or a name of :data:`DTYPES`; ``quantization`` is one of :data:`QUANTIZATIONS`. For inference
    only: with bitsandbytes on a processor the first forward pass repacks the weights, and training the same object afterwards
    gives wrong gradients. Raises BadInput when the folder is no model or an option is unknown, ModelError when it is damaged.
    """
    where = chosen_device(device)
    kind = _chosen_dtype(dtype, where)
    if quantization not in QUANTIZATIONS:
        raise BadInput(f"there is no quantization {quantization!r}; choose one of {', '.join(QUANTIZATIONS)}")
    _require_model_folder(path)
    options: dict[str, Any] = {
        "dtype": kind,
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    if quantization != "none":
        options["quantization_config"] = _bitsandbytes(quantization, kind)
        if where.type == "cuda":
            options["device_map"] = {"": str(where)}
    with _no_progress_bar():
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
            loaded: Any = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True, **options)
            model, told = loaded
            if quantization == "none":
                model = model.to(where)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{path} does not fit into the memory of {where}; choose a smaller dtype or a quantization"
            ) from error
        except Exception as error:  # whatever a damaged file makes transformers raise
            raise ModelError(f"the model in {path} cannot be loaded: {_first_line(error)}") from error
    if lost := sorted({*told.get("missing_keys", ()), *(str(k[0]) for k in told.get("mismatched_keys", ()))}):
        raise ModelError(
            f"the model in {path} is damaged: {len(lost)} of its tensors are missing or misshapen, {lost[0]} first"
        )
    return Loaded(
        model=model.eval().requires_grad_(False),
        tokenizer=tokenizer,
        model_hash=folder_hash(path, ("config.json", "*.safetensors")),
        tokenizer_hash=folder_hash(path, ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")),
        dtype=str(model.dtype).removeprefix("torch."),
        quantization=quantization,
    )


def chosen_device(device: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU if there is one. Raises BadInput when it is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        where = torch.device(device)
    except RuntimeError:
        raise BadInput(f"there is no device {device!r}; choose auto, cpu or cuda") from None
    if where.type not in ("cpu", "cuda"):
        raise BadInput(f"there is no device {device!r}; choose auto, cpu or cuda")
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise BadInput(f"this machine has no device {device}; choose auto or cpu")
    return where


def _chosen_dtype(dtype: str, device: torch.device) -> Any:
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    if dtype not in DTYPES:
        raise BadInput(f"there is no dtype {dtype!r}; choose auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def _bitsandbytes(quantization: str, dtype: Any) -> Any:
    for needed in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(needed) is None:
            raise BadInput(f"quantization {quantization} needs {needed}; install it with: pip install 'burnqed[quant]'")
    settings: Any = transformers.BitsAndBytesConfig
    if quantization == "int8":
        return settings(load_in_8bit=True)
    return settings(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if dtype == "auto" else dtype,
    )


def _require_model_folder(path: Path) -> None:
    if not path.is_dir():
        raise BadInput(f"there is no model folder {path}")
    if not (path / "config.json").is_file():
        if (path / "adapter_config.json").is_file():
            raise BadInput(f"{path} holds an adapter, not a model; merge it into its base model and save that")
        raise BadInput(f"{path} is no model folder: it has no config.json")
    try:
        json.loads((path / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path / 'config.json'} is damaged: {_first_line(error)}") from error
    if not any(path.glob("*.safetensors")):
        raise BadInput(f"{path} has no weights in safetensors format; save the model with transformers 5")


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0]
    return line if len(line) <= 300 else line[:299] + "…"


@contextlib.contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Nothing below the command line draws on the screen."""
    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
