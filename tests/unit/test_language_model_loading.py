"""Model folders: good, missing, damaged, quantized."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from burnqed.core.errors import BadInput, ModelError
from burnqed.models.fingerprint import file_hash, folder_hash
from burnqed.models.language_model import LanguageModel
from burnqed.models.loading import chosen_device, load_folder
from burnqed.testing.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("good"), hidden=64)


@pytest.fixture
def copied(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "copy"))


# --- good


def test_a_folder_becomes_a_model(good):
    model = LanguageModel.load(good)
    assert model.name == good.name
    assert (model.dim, model.max_tokens, model.eos_ids) == (64, 512, {1})
    assert model.device.type == "cuda" if torch.cuda.is_available() else "cpu"
    assert not model.model.training
    assert not any(p.requires_grad for p in model.model.parameters())


def test_dtype_is_as_asked(good):
    assert load_folder(good, device="cpu").dtype == "float32"
    half = load_folder(good, device="cpu", dtype="bfloat16")
    assert half.dtype == "bfloat16"
    assert half.model.dtype == torch.bfloat16


def test_half_precision_samples_and_pools_near_full_precision(good):
    full, half = (LanguageModel.load(good, device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
    prompt = full.token_ids("[GOAL]n : ℕ\n⊢ n + 0 = n[PROOFSTEP]")
    torch.testing.assert_close(half.embed([prompt]), full.embed([prompt]), atol=0.05, rtol=0.05)
    settings = {"n": 8, "temperature": 1.0, "top_p": 0.95, "max_new_tokens": 8, "seeds": [1]}
    ((*found,),) = half.sample([prompt], **settings)
    for one in found:
        (again,) = half.logprobs([[*prompt, *one.ids]], [len(prompt)])
        assert one.logprobs == pytest.approx(again, abs=0.3)


def test_no_progress_bar_is_drawn_and_the_setting_is_left_alone(good, capfd):
    transformers.utils.logging.enable_progress_bar()
    load_folder(good, device="cpu")
    told = capfd.readouterr()
    assert "%" not in told.out + told.err
    assert transformers.utils.logging.is_progress_bar_enabled()


# --- bad options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, "there is no dtype 'float8'; choose auto, float32, bfloat16, float16"),
        ({"quantization": "int2"}, "there is no quantization 'int2'; choose one of none, int8, nf4"),
        ({"device": "toaster"}, "there is no device 'toaster'"),
        ({"device": "meta"}, "there is no device 'meta'"),
        ({"device": "cuda:99"}, "this machine has no device cuda:99"),
    ],
)
def test_an_unknown_option_is_named(good, options, message):
    with pytest.raises(BadInput, match=message):
        load_folder(good, **options)


def test_auto_is_a_gpu_if_there_is_one():
    assert chosen_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


# --- bad folders


def test_no_folder(tmp_path):
    with pytest.raises(BadInput, match=r"there is no model folder .*nowhere"):
        load_folder(tmp_path / "nowhere")


def test_a_file(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(BadInput, match="there is no model folder"):
        load_folder(tmp_path / "model.gguf")


def test_an_empty_folder(tmp_path):
    with pytest.raises(BadInput, match=r"is no model folder: it has no config\.json"):
        load_folder(tmp_path)


def test_an_adapter_is_told_from_a_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(BadInput, match="holds an adapter, not a model; merge it"):
        load_folder(tmp_path)


def test_a_damaged_configuration(copied):
    (copied / "config.json").write_text('{"model_type": ')
    with pytest.raises(ModelError, match=r"config\.json is damaged"):
        load_folder(copied)


def test_an_unknown_architecture(copied):
    (copied / "config.json").write_text('{"model_type": "abacus"}')
    with pytest.raises(ModelError, match=r"cannot be loaded: .*abacus"):
        load_folder(copied)


def test_an_encoder_is_no_causal_model(copied):
    (copied / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_folder(copied)


def test_no_weights(copied):
    (copied / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="has no weights in safetensors format"):
        load_folder(copied)


def test_a_pickle_is_not_opened(copied):
    (copied / "model.safetensors").unlink()
    torch.save({}, copied / "pytorch_model.bin")
    with pytest.raises(BadInput, match="has no weights in safetensors format"):
        load_folder(copied)


def test_truncated_weights(copied):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_folder(copied, device="cpu")


def test_a_missing_tensor_is_not_made_up(copied):
    tensors = load_file(copied / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"damaged: 1 of its tensors .*model\.layers\.1\.mlp\.up_proj\.weight"):
        load_folder(copied, device="cpu")


def test_a_tensor_of_another_shape(copied):
    tensors = load_file(copied / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(7)
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"cannot be loaded|damaged"):
        load_folder(copied, device="cpu")


def test_no_tokenizer(copied):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copied / name).unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_folder(copied, device="cpu")


def test_a_damaged_tokenizer(copied):
    (copied / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_folder(copied, device="cpu")


def test_code_in_a_folder_is_not_run(copied):
    (copied / "code.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass C: ...\n")
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.C"}}
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_folder(copied, device="cpu")
    assert not (copied / "ran").exists()


# --- fingerprints


def test_hashes_depend_on_contents_only(good, copied):
    assert load_folder(copied, device="cpu").model_hash == load_folder(good, device="cpu").model_hash
    tensors = load_file(copied / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    again = load_folder(copied, device="cpu")
    assert again.model_hash != load_folder(good, device="cpu").model_hash
    assert again.tokenizer_hash == load_folder(good, device="cpu").tokenizer_hash
    (copied / "tokenizer_config.json").write_text((copied / "tokenizer_config.json").read_text() + "\n")
    assert load_folder(copied, device="cpu").tokenizer_hash != again.tokenizer_hash


def test_a_large_file_is_hashed_again_only_when_it_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("BURNQED_HOME", str(tmp_path / "home"))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"a" * (1 << 20))
    first = file_hash(path)
    assert first == hashlib.blake2b(b"a" * (1 << 20), digest_size=16).hexdigest()
    (note,) = (tmp_path / "home" / "model-hashes").iterdir()
    note.write_text("0" * 32)
    assert file_hash(path) == "0" * 32  # it was not read
    note.write_text("garbage")
    assert file_hash(path) == first
    path.write_bytes(b"b" * (1 << 20))
    os.utime(path, ns=(1, 1))
    assert file_hash(path) not in (first, "0" * 32)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file where the folder should be")
    monkeypatch.setenv("BURNQED_HOME", str(tmp_path / "home"))
    path = tmp_path / "weights"
    path.write_bytes(b"a" * (1 << 20))
    assert file_hash(path) == hashlib.blake2b(b"a" * (1 << 20), digest_size=16).hexdigest()


def test_a_folder_hash_sees_names_and_patterns(tmp_path):
    for name in ("a.txt", "b.txt", "c.bin"):
        (tmp_path / name).write_text(name)
    some = folder_hash(tmp_path, ("*.txt",))
    (tmp_path / "c.bin").write_text("other")
    assert folder_hash(tmp_path, ("*.txt", "a.txt")) == some
    (tmp_path / "b.txt").rename(tmp_path / "d.txt")
    assert folder_hash(tmp_path, ("*.txt",)) != some


# --- quantized


@pytest.mark.parametrize(("quantization", "cosine"), [("int8", 0.99), ("nf4", 0.9)])
def test_a_quantized_model_loads_embeds_and_samples(good, quantization, cosine):
    pytest.importorskip("bitsandbytes")
    full = LanguageModel.load(good, device="cpu")
    small = LanguageModel.load(good, device="cpu", quantization=quantization)
    prompts = [full.token_ids(text) for text in ("[GOAL]n : ℕ\n⊢ n + 0 = n[PROOFSTEP]", "[GOAL]⊢ True[PROOFSTEP]")]
    a, b = full.embed(prompts), small.embed(prompts)
    assert torch.cosine_similarity(a, b).min() > cosine
    assert not torch.allclose(a, b, atol=1e-4)
    found = small.sample(prompts, n=4, temperature=1.0, top_p=0.95, max_new_tokens=12, seeds=[1, 2])
    for prompt, each in zip(prompts, found, strict=True):
        for one in each:
            (again,) = small.logprobs([[*prompt, *one.ids]], [len(prompt)])
            assert one.logprobs == pytest.approx(again, abs=0.2)
    assert small._card[2:] == ("float32", quantization)
