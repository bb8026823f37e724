"""Embeddings that were computed before, by encoder card and text: in memory, and in a file if one is given.

Vectors are kept as float32, in memory and in the file, though half of it would do for most uses: what comes from the cache is
then bit for bit what was computed, so that a search that is run again takes the same course.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput
from burnqed.core.tally import Tally

Vector = NDArray[np.float32]

MIB = 1 << 20
_VERSION = 1
_ENTRY_BYTES = 200
"""About what Python needs for an entry besides its numbers."""

_QUERY_TEXTS = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    card TEXT NOT NULL, text BLOB NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (card, text)
)
"""


class EmbeddingCache:
    """Keeps the vectors that were used last, ``max_bytes`` of them, and all of them in ``file`` when there is one.

    The card's digest is part of every key, so that vectors of another encoder are never read, though they may lie in
    the same file. The file is SQLite with a write-ahead log: a process that is killed loses at most its last writes, several
    processes may share it, and it may be deleted at any time when none does. Troubles with the file while it is in use are
    counted and survived. All methods may be called from any thread. Raises BadInput when the file cannot be a cache.
    """

    def __init__(self, *, max_bytes: int = 256 * MIB, file: Path | None = None, tally: Tally | None = None) -> None:
        self.tally = tally if tally is not None else Tally()
        self.hits = 0
        self.misses = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._recent: OrderedDict[tuple[str, bytes], Vector] = OrderedDict()
        self._lock = threading.Lock()
        self._database = _opened(file) if file is not None else None

    def get(self, card: EncoderCard, texts: Iterable[str]) -> dict[str, Vector]:
        """The vectors [D] of those texts that are known."""
        with self._lock:
            digest = card.digest
            asked = {text: _hash(text) for text in texts}
            found: dict[str, Vector] = {}
            for text, key in asked.items():
                if (vector := self._recent.get((digest, key))) is not None:
                    self._recent.move_to_end((digest, key))
                    found[text] = vector
            elsewhere = {key: text for text, key in asked.items() if text not in found}
            for key, vector in self._read(digest, card.dim, list(elsewhere)).items():
                found[elsewhere[key]] = vector
                self._keep((digest, key), vector)
            self.hits += len(found)
            self.misses += len(asked) - len(found)
            return found

    def put(self, card: EncoderCard, vectors: Mapping[str, Vector]) -> None:
        """Remember vectors [D]."""
        with self._lock:
            digest = card.digest
            # Copies, for a vector is often a row of a batch, which it would keep alive.
            rows = {_hash(text): np.array(vector, dtype=np.float32) for text, vector in vectors.items()}
            for key, vector in rows.items():
                assert vector.shape == (card.dim,)
                vector.setflags(write=False)
                self._keep((digest, key), vector)
            self._write(digest, rows)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _keep(self, key: tuple[str, bytes], vector: Vector) -> None:
        if (old := self._recent.pop(key, None)) is not None:
            self._bytes -= old.nbytes + _ENTRY_BYTES
        self._recent[key] = vector
        self._bytes += vector.nbytes + _ENTRY_BYTES
        while self._bytes > self._max_bytes:
            _, dropped = self._recent.popitem(last=False)
            self._bytes -= dropped.nbytes + _ENTRY_BYTES

    def _read(self, digest: str, dim: int, keys: list[bytes]) -> dict[bytes, Vector]:
        found: dict[bytes, Vector] = {}
        if self._database is None:
            return found
        try:
            for at in range(0, len(keys), _QUERY_TEXTS):
                some = keys[at : at + _QUERY_TEXTS]
                marks = ",".join("?" * len(some))
                query = f"SELECT text, vector FROM vectors WHERE card = ? AND text IN ({marks})"  # noqa: S608  # only ?s
                for key, blob in self._database.execute(query, (digest, *some)):
                    if len(blob) == 4 * dim:
                        found[key] = np.frombuffer(blob, dtype="<f4")
                    else:
                        self.tally.count("damaged entry of the embedding cache")
        except sqlite3.Error as error:
            self.tally.count("embedding cache could not be read", str(error))
        return found

    def _write(self, digest: str, rows: Mapping[bytes, Vector]) -> None:
        if self._database is None:
            return
        values = [(digest, key, vector.astype("<f4").tobytes()) for key, vector in rows.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", values)
        except sqlite3.Error as error:
            self.tally.count("embedding cache could not be written", str(error))


def _opened(file: Path) -> sqlite3.Connection:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(file, timeout=5.0, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise BadInput(f"the embedding cache {file} cannot be opened: {error}") from error
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version != (_VERSION if tables else 0):
            raise BadInput(f"{file} is not an embedding cache of this burnqed; name another file, or delete it")
        with database:
            database.execute(_SCHEMA)
            database.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.Error as error:
        database.close()
        raise BadInput(
            f"the embedding cache {file} cannot be used: {error}; name another file, or delete it"
        ) from error
    except BadInput:
        database.close()
        raise
    return database


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
