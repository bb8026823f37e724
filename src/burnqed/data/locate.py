"""Where the files of a set are on their host: addresses, the commit that they belong to, and what the host says they hash to."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import msgspec
from pydantic import BaseModel, Field

from burnqed.core.errors import FetchError
from burnqed.data.download import get
from burnqed.data.sources.source import GitHub, Hub, Source


class Hosts(BaseModel, frozen=True, extra="forbid"):
    """Addresses without a final slash."""

    hub: str = Field("https://huggingface.co", description="the Hugging Face hub, or a mirror of it (HF_ENDPOINT)")
    github_api: str = Field("https://api.github.com", description="GitHub's API, asked for commits")
    github_raw: str = Field("https://raw.githubusercontent.com", description="where GitHub serves single files")
    github_archive: str = Field("https://codeload.github.com", description="where GitHub serves whole repositories")

    @classmethod
    def from_environment(cls) -> Hosts:
        """The usual hosts; ``HF_ENDPOINT`` names another hub, as in the hub's own client."""
        hub = os.environ.get("HF_ENDPOINT", "").rstrip("/")
        return cls(hub=hub) if hub else cls()


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch; ``sha256`` is empty where the host does not tell."""

    name: str
    url: str
    size_bytes: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Located:
    """The files of a set at one commit; ``revision`` is the commit, or what was asked for where the host does not tell."""

    revision: str
    files: tuple[RemoteFile, ...]


class _Lfs(msgspec.Struct):
    sha256: str = ""
    size: int | None = None


class _Sibling(msgspec.Struct):
    rfilename: str
    size: int | None = None
    lfs: _Lfs | None = None


class _DatasetInfo(msgspec.Struct):
    siblings: list[_Sibling]
    sha: str | None = None


def locate(
    http: httpx2.Client, source: Source, *, revision: str, hosts: Hosts, pause: Callable[[float], None] = time.sleep
) -> Located:
    """The files of a set at a revision (a branch, tag or commit; empty: the newest). Raises FetchError."""
    if isinstance(source.home, Hub):
        return _on_hub(http, source, source.home, revision or "main", hosts, pause)
    return _on_github(http, source, source.home, revision or "HEAD", hosts)


def hint_for(source: Source) -> str:
    """What a person can do when the host cannot be reached or refuses."""
    return f"fetch it another way from {source.address} and pass --from PATH"


def _on_hub(
    http: httpx2.Client, source: Source, home: Hub, revision: str, hosts: Hosts, pause: Callable[[float], None]
) -> Located:
    url = f"{hosts.hub}/api/datasets/{home.repo}/revision/{revision}?blobs=true"
    try:
        info = msgspec.json.decode(get(http, url, hint=hint_for(source), pause=pause).content, type=_DatasetInfo)
    except msgspec.DecodeError as error:
        raise FetchError(f"{url} did not answer as the hub does: {error}; {hint_for(source)}") from error
    names = [s.rfilename for s in info.siblings]
    wanted = first_match(home.files, names)
    if not wanted:
        has = ", ".join(names[:8]) or "nothing"
        raise FetchError(
            f"{home.repo} has no file like {' or '.join(home.files)} at {revision}; it has {has}; {hint_for(source)}"
        )
    commit = info.sha or revision
    files = [
        RemoteFile(
            s.rfilename,
            f"{hosts.hub}/datasets/{home.repo}/resolve/{commit}/{s.rfilename}",
            s.lfs.size if s.lfs else s.size,
            s.lfs.sha256 if s.lfs else "",
        )
        for s in info.siblings
        if s.rfilename in wanted
    ]
    return Located(commit, tuple(files))


def first_match(patterns: tuple[str, ...], names: list[str]) -> set[str]:
    """The names that match the first pattern that matches any."""
    for pattern in patterns:
        if found := {name for name in names if matches(pattern, name)}:
            return found
    return set()


def matches(pattern: str, name: str) -> bool:
    """Whether a path matches a pattern, in which ``*`` stands for anything but a slash."""
    return re.fullmatch("[^/]*".join(re.escape(piece) for piece in pattern.split("*")), name) is not None


def _on_github(http: httpx2.Client, source: Source, home: GitHub, revision: str, hosts: Hosts) -> Located:
    commit = _commit(http, home, revision, hosts) or revision
    if home.archive:
        name = f"{home.repo.split('/')[1]}.tar.gz"
        return Located(commit, (RemoteFile(name, f"{hosts.github_archive}/{home.repo}/tar.gz/{commit}"),))
    files = (RemoteFile(path, f"{hosts.github_raw}/{home.repo}/{commit}/{path}") for path in home.files)
    return Located(commit, tuple(files))


def _commit(http: httpx2.Client, home: GitHub, revision: str, hosts: Hosts) -> str:
    """The commit that a revision is now; empty when the API does not tell (it allows few questions an hour)."""
    try:
        answer = http.get(
            f"{hosts.github_api}/repos/{home.repo}/commits/{revision}", headers={"Accept": "application/vnd.github.sha"}
        )
    except httpx2.HTTPError:
        return ""
    text = answer.text.strip()
    return text if answer.is_success and re.fullmatch(r"[0-9a-f]{40}", text) else ""
