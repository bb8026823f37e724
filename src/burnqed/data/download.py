"""One file over HTTPS: streamed to disk, gone on with where it broke off, in this run or a later one, and hashed."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import httpx2

from burnqed.core.errors import FetchError

ATTEMPTS = 5
_TIMEOUT_S = 30.0
_CHUNK = 1 << 20  # bytes


class Progress(Protocol):
    """What draws the progress of a fetch."""

    def phase(self, name: str, total: int | None) -> None:
        """A new phase begins; ``total`` is its size in bytes, None when it is not known."""

    def advance(self, amount: int) -> None:
        """``amount`` more bytes of the phase are done."""


class Silent:
    """A :class:`Progress` that draws nothing."""

    def phase(self, name: str, total: int | None) -> None:
        """Nothing to draw."""

    def advance(self, amount: int) -> None:
        """Nothing to draw."""


def client() -> httpx2.Client:
    """A client that trusts what the system trusts (``SSL_CERT_FILE`` too) and follows redirects."""
    return httpx2.Client(verify=ssl.create_default_context(), follow_redirects=True, timeout=_TIMEOUT_S)


def get(http: httpx2.Client, url: str, *, hint: str, pause: Callable[[float], None] = time.sleep) -> httpx2.Response:
    """A small answer as a whole, tried again when the host is overloaded or out of reach. Raises FetchError."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            response = http.get(url)
            response.raise_for_status()
            return response
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            if attempt == ATTEMPTS or _permanent(error):
                raise FetchError(f"{_why(url, error)}; {hint}") from error
        pause(0.5 * 2**attempt)
    raise AssertionError("unreachable")


def download(
    http: httpx2.Client,
    url: str,
    target: Path,
    *,
    hint: str,
    sha256: str = "",
    size_bytes: int | None = None,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Fetch ``url`` into ``target`` and return its SHA-256.

    A file that is there with the hash ``sha256`` is not fetched again. What was begun stays beside the target as a ``.part``
    file, and is gone on with if the host says that its file is still the same. Raises FetchError: host out of reach,
    refused, not there, cut short again and again, or another hash than ``sha256``; then ``target`` is as it was.
    """
    if sha256 and target.is_file() and digest_of(target) == sha256:
        return sha256
    part = _Part(target, url)
    shown = progress or Silent()
    shown.phase(f"fetching {target.name}", size_bytes)
    if part.size:
        shown.advance(part.size)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _attempt(http, url, part, shown, size_bytes)
            break
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            if attempt == ATTEMPTS or _permanent(error):
                if not part.size:
                    part.remove()  # nothing was begun, so there is nothing to go on with
                raise FetchError(f"{_why(url, error)}; {hint}") from error
            if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code == 416:
                part.restart("")
        except OSError as error:
            raise FetchError(f"{target} cannot be written: {error.strerror or error}; choose another --out") from error
        pause(0.5 * 2**attempt)
    found = digest_of(part.path)
    if sha256 and found != sha256:
        part.remove()
        raise FetchError(f"{url} is another file than it should be: its SHA-256 is {found}, not {sha256}; {hint}")
    part.finish()
    return found


def digest_of(path: Path) -> str:
    """The SHA-256 of a file on disk."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class _Part:
    """A file that is not whole yet, and the host's mark (ETag) of the version that it is a part of."""

    def __init__(self, target: Path, url: str) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self._mark = target.with_name(f".{target.name}.part-of")
        self._url = url
        target.parent.mkdir(parents=True, exist_ok=True)
        self.etag = ""
        with suppress(OSError, ValueError):
            begun, self.etag = self._mark.read_text(encoding="utf-8").split("\n", 1)
            if begun != url:
                self.etag = ""
        if not self.etag:
            self.restart("")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def restart(self, etag: str) -> None:
        """Begin again, with a version of that mark."""
        self.path.unlink(missing_ok=True)
        self.etag = etag
        self._mark.write_text(f"{self._url}\n{etag}", encoding="utf-8")

    def finish(self) -> None:
        """It is whole: give it its name."""
        self.path.replace(self.target)
        self._mark.unlink(missing_ok=True)

    def remove(self) -> None:
        """Leave nothing behind."""
        self.path.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)


def _attempt(http: httpx2.Client, url: str, part: _Part, progress: Progress, size_bytes: int | None) -> None:
    """One connection. Raises httpx2.HTTPError when the answer ends before it is whole."""
    headers = {"Accept-Encoding": "identity"}
    have = part.size
    if have and part.etag:
        headers |= {"Range": f"bytes={have}-", "If-Range": part.etag}
    with http.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        resumed = response.status_code == httpx2.codes.PARTIAL_CONTENT and response.headers.get(
            "Content-Range", ""
        ).startswith(f"bytes {have}-")
        if not resumed:
            if have:
                progress.phase(f"fetching {part.target.name}", size_bytes)
            have = 0
            # A weak mark does not promise the same bytes, so it is no ground to go on.
            etag = response.headers.get("ETag", "")
            part.restart("" if etag.startswith("W/") else etag)
        announced = response.headers.get("Content-Length")
        whole = have + int(announced) if announced and announced.isdigit() else size_bytes
        with part.path.open("ab") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                progress.advance(len(chunk))
        if whole is not None and part.size < whole:
            raise httpx2.RemoteProtocolError(f"the answer ended after {part.size:,} of {whole:,} bytes")


def _permanent(error: Exception) -> bool:
    """Whether another attempt would end in the same way: the host answered, and it is not overloaded."""
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return True
    if isinstance(error, httpx2.HTTPStatusError):
        code = error.response.status_code
        return code < 500 and code not in (408, 416, 429)
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _why(url: str, error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        code = error.response.status_code
        if code == 404:
            return f"there is nothing at {url} (404)"
        if code in (401, 403):
            return f"{url} is not open to everybody ({code})"
        return f"{url} answered with status {code}"
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    reached = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.InvalidURL)
    return f"the connection to {url} broke off: {said}" if reached else f"could not reach {url}: {said}"
