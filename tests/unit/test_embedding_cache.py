"""The embedding cache: what is found again, what is never found, and what its file survives."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput
from burnqed.models.embedding_cache import EmbeddingCache

CARD = EncoderCard(model="m", tokenizer="t", prompt_format="markers", dim=8, max_tokens=512)


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(8).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "cache.sqlite"


def test_what_was_put_comes_back_bit_for_bit_in_this_process_and_the_next(file):
    texts = {f"⊢ {i} = {i}": vector(i) for i in range(1200)}
    first = EmbeddingCache(file=file)
    first.put(CARD, texts)
    again = EmbeddingCache(file=file)
    for cache in (first, again):
        found = cache.get(CARD, [*texts, "unknown"])
        assert found.keys() == texts.keys()
        assert all(np.array_equal(found[t], texts[t]) for t in texts)
        assert (cache.hits, cache.misses) == (1200, 1)
        cache.close()


@pytest.mark.parametrize("field", ["model", "tokenizer", "prompt_format", "dtype", "quantization", "pooling"])
def test_vectors_of_another_encoder_are_never_read(file, field):
    cache = EmbeddingCache(file=file)
    cache.put(CARD, {"a": vector(1)})
    assert cache.get(replace(CARD, **{field: "other"}), ["a"]) == {}
    assert cache.get(replace(CARD, max_tokens=511), ["a"]) == {}
    assert list(cache.get(CARD, ["a"])) == ["a"]
    cache.close()


def test_memory_is_limited_and_what_was_used_last_stays():
    cache = EmbeddingCache(max_bytes=10 * (8 * 4 + 200))
    for i in range(10):
        cache.put(CARD, {str(i): vector(i)})
    cache.get(CARD, ["0"])
    for i in range(10, 19):
        cache.put(CARD, {str(i): vector(i)})
    assert sorted(cache.get(CARD, [str(i) for i in range(19)]), key=int) == ["0", *(str(i) for i in range(10, 19))]


def test_what_left_memory_is_still_in_the_file(file):
    cache = EmbeddingCache(max_bytes=1, file=file)
    cache.put(CARD, {"a": vector(1), "b": vector(2)})
    assert np.array_equal(cache.get(CARD, ["a"])["a"], vector(1))
    cache.close()


def test_a_vector_does_not_change_with_the_batch_it_came_from():
    cache = EmbeddingCache()
    batch = np.stack([vector(1), vector(2)])
    cache.put(CARD, {"a": batch[0]})
    batch[:] = 0
    assert np.array_equal(cache.get(CARD, ["a"])["a"], vector(1))
    with pytest.raises(ValueError, match="read-only"):
        cache.get(CARD, ["a"])["a"][0] = 7


def test_a_killed_process_leaves_a_file_that_can_be_read(file):
    code = """
        import os, sys, numpy as np
        from pathlib import Path
        from burnqed.core.encoder_card import EncoderCard
        from burnqed.models.embedding_cache import EmbeddingCache
        cache = EmbeddingCache(file=Path(sys.argv[1]))
        card = EncoderCard(model="m", tokenizer="t", prompt_format="markers", dim=8, max_tokens=512)
        for i in range(50):
            cache.put(card, {str(i): np.full(8, i, np.float32)})
        os.kill(os.getpid(), 9)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(file)], check=False)
    assert ended.returncode == -9
    cache = EmbeddingCache(file=file)
    found = cache.get(CARD, [str(i) for i in range(50)])
    assert all(np.array_equal(found[str(i)], np.full(8, i, np.float32)) for i in range(50))
    cache.close()


def test_a_damaged_entry_is_counted_and_not_used(file):
    cache = EmbeddingCache(file=file)
    cache.put(CARD, {"a": vector(1), "b": vector(2)})
    cache.close()
    database = sqlite3.connect(file)
    with database:
        database.execute("UPDATE vectors SET vector = x'00' WHERE rowid = 1")
    database.close()
    cache = EmbeddingCache(file=file)
    assert list(cache.get(CARD, ["a", "b"])) == ["b"]
    assert cache.tally.counts == {"damaged entry of the embedding cache": 1}
    cache.close()


def test_a_file_that_fails_in_use_is_counted_and_memory_goes_on(file):
    cache = EmbeddingCache(file=file)
    other = sqlite3.connect(file)
    with other:
        other.execute("DROP TABLE vectors")
    cache.put(CARD, {"a": vector(1)})
    assert list(cache.get(CARD, ["a", "b"])) == ["a"]
    assert cache.tally.counts == {
        "embedding cache could not be written": 1,
        "embedding cache could not be read": 1,
    }
    other.close()
    cache.close()


def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("these are notes, and not a database\n" * 100)
    with pytest.raises(BadInput, match=r"notes\.txt cannot be used: file is not a database"):
        EmbeddingCache(file=text)
    assert text.read_text().startswith("these are notes")
    other = tmp_path / "other.sqlite"
    database = sqlite3.connect(other)
    with database:
        database.execute("CREATE TABLE things (name TEXT)")
    database.close()
    with pytest.raises(BadInput, match=r"other\.sqlite is not an embedding cache"):
        EmbeddingCache(file=other)
    with pytest.raises(BadInput, match="cannot be opened"):
        EmbeddingCache(file=text / "below" / "cache.sqlite")
