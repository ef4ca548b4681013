#!/usr/bin/env python3
"""Writes a container image for the tests, without docker, from files of this machine.

    image.py OUT.tar NAME:TAG [what goes in] [how it runs]

What goes in, each as often as wanted:
    --program SRC:DST       an executable, with the libraries `ldd` names and their loader at their own paths
    --busybox SRC           a static busybox as /bin/busybox, and a link in /bin for each of its applets
    --file SRC:DST[:MODE]   a file; its mode is 644 unless told
    --link TARGET:PATH      a symbolic link
    --dir PATH:MODE         a folder, `/tmp:1777` say
How it runs:
    --entrypoint 'WORDS'    split as a shell would; none by default
    --user N[:GROUP]        65532 by default

One layer for this machine's platform, and the same bytes from the same files. When nothing that goes in has changed
since OUT.tar was written, nothing is done.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "manifests", "images"))
sys.dont_write_bytecode = True
import oci  # noqa: E402  (found through the line above)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Layer:
    """Members by their path in the image: a file to read, a link's target, or a folder."""

    def __init__(self) -> None:
        self.members: dict[str, tuple[tarfile.TarInfo, str | None]] = {}

    def add(self, path: str, mode: int, source: str | None = None, link: str | None = None) -> None:
        name = path.strip("/")
        info = oci.entry(name, os.path.getsize(source) if source else 0, mode)
        if link is not None:
            info.type, info.linkname = tarfile.SYMTYPE, link
        elif source is None:
            info.type = tarfile.DIRTYPE
        self.members[name] = (info, source)

    def file(self, source: str, path: str, mode: int) -> None:
        if not os.path.isfile(source):
            sys.exit(f"image.py: there is no file {source} for {path}; build or install it first")
        self.add(path, mode, source=source)

    def program(self, source: str, path: str) -> None:
        self.file(source, path, 0o755)
        ldd = subprocess.run(["ldd", source], capture_output=True, text=True)
        # A static program has nothing to list, and ldd calls that a failure.
        for line in ldd.stdout.splitlines() if ldd.returncode == 0 else []:
            if "not found" in line:
                sys.exit(f"image.py: {source} wants a library that isn't here ({line.strip()}); install its package")
            if found := re.search(r"(/\S+) \(0x", line):
                self.file(found[1], found[1], 0o755)

    def busybox(self, source: str) -> None:
        self.file(source, "/bin/busybox", 0o755)
        for applet in subprocess.run([source, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                self.add(f"/bin/{applet}", 0o777, link="busybox")

    def complete(self) -> None:
        """Every folder on the way has an entry, so that no runtime has to guess its mode."""
        for name in list(self.members):
            while name := os.path.dirname(name):
                if name not in self.members:
                    self.add(name, 0o755)

    def sources(self) -> list:
        """All that decides the bytes, as far as one can see without reading them."""
        found = []
        for name, (info, source) in sorted(self.members.items()):
            stat = os.stat(source) if source else None
            found.append([name, info.mode, info.linkname, source, stat and [stat.st_size, stat.st_mtime_ns]])
        return found

    def write(self, path: str) -> None:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for _, (info, source) in sorted(self.members.items()):
                if source is None:
                    tar.addfile(info)
                else:
                    with open(source, "rb") as file:
                        tar.addfile(info, file)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("out")
    parser.add_argument("name")
    for option in ("program", "busybox", "file", "link", "dir"):
        parser.add_argument(f"--{option}", action="append", default=[])
    parser.add_argument("--user", default=oci.USER)
    parser.add_argument("--entrypoint", default="")
    return parser.parse_args()


def fill(wanted: argparse.Namespace) -> Layer:
    layer = Layer()
    for argument in wanted.program:
        layer.program(*pair(argument))
    for source in wanted.busybox:
        layer.busybox(source)
    for argument in wanted.file:
        source, path, *mode = argument.split(":")
        layer.file(source, path, int(mode[0], 8) if mode else 0o644)
    for argument in wanted.link:
        target, path = pair(argument)
        layer.add(path, 0o777, link=target)
    for argument in wanted.dir:
        path, mode = pair(argument)
        layer.add(path, int(mode, 8))
    layer.complete()
    return layer


def pair(argument: str) -> tuple[str, str]:
    first, colon, second = argument.rpartition(":")
    if not colon:
        sys.exit(f"image.py: '{argument}' needs a colon and what comes after it; see the head of this file")
    return first, second


def main() -> None:
    wanted = arguments()
    layer = fill(wanted)
    settings = {"User": wanted.user, "WorkingDir": "/", "Env": [f"PATH={PATH}"]}
    if wanted.entrypoint:
        settings["Entrypoint"] = shlex.split(wanted.entrypoint)
    makers = [[os.path.getsize(made), os.stat(made).st_mtime_ns] for made in (__file__, oci.__file__)]
    inputs = json.dumps([wanted.name, settings, layer.sources(), makers])
    inputs = hashlib.sha256(inputs.encode()).hexdigest()
    stamp = wanted.out + ".inputs"
    if not (os.path.exists(wanted.out) and os.path.exists(stamp) and open(stamp).read() == inputs):
        scratch = wanted.out + ".layer"
        try:
            layer.write(scratch)
            archive = oci.Archive()
            layer_ref = archive.add_file(scratch, oci.LAYER_TYPE)
            architecture = "arm64" if platform.machine() == "aarch64" else "amd64"
            image = archive.assemble(f"linux/{architecture}", settings, layer_ref)
            archive.write(wanted.out, wanted.name, [image])
        finally:
            if os.path.exists(scratch):
                os.remove(scratch)
        with open(stamp, "w") as file:
            file.write(inputs)
    print(wanted.out)


if __name__ == "__main__":
    main()
