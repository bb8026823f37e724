"""The client of an encode server: what it is, energies, embeddings, counts of tokens; every answer is checked."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from burnqed.core.calibration import Calibration
from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import ModelError, ServerUnavailable
from burnqed.core.tally import Tally

if TYPE_CHECKING:  # numpy only for those who have a head to score with
    from burnqed.models.embedding_cache import Vector

UNUSABLE = "answer of the encode server that cannot be used"
NOT_EMBEDDED = "text that the encode server could not embed"

_AROUND_BYTES = 1000
"""What a request holds beside its texts."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Connection(Protocol):
    """What is needed of :class:`burnqed.remote.endpoint.Endpoint`."""

    @property
    def url(self) -> str:
        """The server."""
        ...

    async def post(self, path: str, body: Mapping[str, object]) -> object:
        """The JSON answered to a body."""
        ...

    async def get(self, path: str) -> object:
        """The JSON at a path."""
        ...


@dataclass(frozen=True)
class ServerInfo:
    """What an encode server says of itself; it takes ``texts`` in a request of ``request_bytes``, of ``characters`` each."""

    card: EncoderCard
    texts: int
    characters: int
    request_bytes: int
    has_head: bool
    calibration: Calibration | None


class EncodeClient:
    """Asks an encode server, in requests as large as it takes them, several at once.

    An answer that cannot be used is counted in ``tally`` and asked for once more; ServerUnavailable is raised when that is of no
    use either, and ModelMismatch when the server has another encoder than at first.
    """

    def __init__(self, connection: Connection, *, tally: Tally) -> None:
        self.url = connection.url
        self.tally = tally
        self._connection = connection
        self._info: ServerInfo | None = None
        self._asking = asyncio.Lock()

    async def info(self) -> ServerInfo:
        """What the server is, asked once."""
        async with self._asking:
            if self._info is None:
                self._info = await self._ask_info()
            return self._info

    async def energies(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The energy of each pair of prompts (state, goal) by the server's head; NaN where it has none."""

        async def ask(part: Sequence[tuple[str, str]]) -> list[float]:
            return await self._ask("/energy", {"pairs": part}, lambda answer: self._read_energies(answer, len(part)))

        info = await self.info()
        parts = _parts(pairs, max(1, info.texts // 2), info.request_bytes, lambda pair: _size(*pair))
        return _joined(await asyncio.gather(*map(ask, parts)))

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """The embedding [D] of each prompt, to fp16 precision; NaNs where the server cannot embed it."""
        info = await self.info()

        async def ask(part: Sequence[str]) -> list[Vector]:
            body = {"text": part, "format": "base64"}
            return await self._ask("/encode", body, lambda answer: self._read_vectors(answer, len(part), info.card.dim))

        return _joined(await asyncio.gather(*map(ask, _parts(texts, info.texts, info.request_bytes, _size))))

    async def tokens(self, text: str) -> int:
        """How many tokens a text has for the server's model; for one that the server would refuse, its characters."""
        if len(text) > (await self.info()).characters:
            return len(text)
        return await self._ask("/count", {"text": [text]}, lambda answer: int(answer["tokens"][0]))

    async def _ask(self, path: str, body: Mapping[str, object], read: Callable[[Any], Answer]) -> Answer:
        info = await self.info()
        why = ""
        for _ in range(2):
            try:
                answer = await self._connection.post(path, {**body, "encoder": info.card.digest})
            except ServerUnavailable:
                raise
            except ModelError:
                # Perhaps because another server stands there by now; that would be the better thing to say.
                info.card.require((await self._ask_info()).card, what="what this run asked of the server so far")
                raise
            try:
                return read(answer)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                why = f"{type(error).__name__}: {error}"
                self.tally.count(UNUSABLE, f"{self.url}{path}: {why}")
        raise ServerUnavailable(f"{self.url}{path} answered twice what cannot be used ({why}); check the encode server")

    async def _ask_info(self) -> ServerInfo:
        where = f"{self.url}/model_info"
        info: Any = await self._connection.get("/model_info")
        if not isinstance(info, dict) or not isinstance(info.get("encoder"), dict):
            raise ServerUnavailable(f"{where} does not describe an encode server; check the address")
        card = EncoderCard.from_json(info["encoder"], source=where)
        try:
            head, limits = info.get("head"), info["limits"]
            fitted = head["calibration"] if head else None
            calibration = Calibration(**fitted) if fitted else None
            texts, characters, size = (int(limits[name]) for name in ("texts", "characters", "request_bytes"))
            return ServerInfo(card, texts, characters, size, head is not None, calibration)
        except (ValueError, TypeError, LookupError) as error:
            raise ServerUnavailable(
                f"{where} cannot be read ({error}); is it of another version of burnqed?"
            ) from error

    def _read_energies(self, answer: Any, count: int) -> list[float]:
        energies = [math.nan if one is None else float(one) for one in answer["energies"]]
        if len(energies) != count:
            raise ValueError(f"{len(energies)} energies for {count} pairs")
        self._note_errors(answer)
        return energies

    def _read_vectors(self, answer: Any, count: int, dim: int) -> list[Vector]:
        import numpy as np

        if answer["dtype"] != "float16" or answer["shape"] != [count, dim]:
            raise ValueError(f"{answer['dtype']} {answer['shape']}, not float16 {[count, dim]}")
        data = base64.b64decode(answer["embeddings_b64"], validate=True)
        rows = np.frombuffer(data, "<f2").astype(np.float32).reshape(count, dim)
        self._note_errors(answer)
        return list(rows)

    def _note_errors(self, answer: Any) -> None:
        for one in answer.get("errors", ()):
            self.tally.count(NOT_EMBEDDED, str(one["message"]))


def _parts(items: Sequence[Item], most: int, most_bytes: int, size: Callable[[Item], int]) -> list[list[Item]]:
    """The items in order, in parts of so many and so many bytes; an item that is larger has a part to itself."""
    parts: list[list[Item]] = []
    room = 0
    for item in items:
        needed = size(item)
        if not parts or len(parts[-1]) == most or needed > room:
            parts.append([])
            room = most_bytes - _AROUND_BYTES
        parts[-1].append(item)
        room -= needed
    return parts


def _size(*texts: str) -> int:
    """Bytes of texts in JSON, more rather than less: a line's end is two, and quotes and commas stand between."""
    return sum(2 * len(text.encode()) + 8 for text in texts)


def _joined(parts: Sequence[list[Answer]]) -> list[Answer]:
    return [one for part in parts for one in part]
