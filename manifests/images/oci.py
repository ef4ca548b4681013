#!/usr/bin/env python3
"""Writes a container image of single static files as a reproducible OCI archive.

    oci.py OUT.tar NAME:TAG ENTRYPOINT PLATFORM=FILE[:PATH] ...

One image per platform (linux/amd64=…), from scratch, run as user 65532. A FILE given again under another PATH is one
file under both. The archive is an OCI layout that skopeo, ctr
and podman read; it also holds the manifest `docker load` wants, for the first platform. The same files give the same
bytes: nothing of this machine or this moment goes in.
"""

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import PurePosixPath

USER = "65532"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def entry(name: str, size: int, mode: int) -> tarfile.TarInfo:
    """A file without owner or time."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, 0
    return info


def layer(files: list[tuple[str, str]]) -> bytes:
    """The one layer: the files, and the folders they are in."""
    out = io.BytesIO()
    named = sorted((path.lstrip("/"), source) for source, path in files)
    first: dict[str, str] = {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in sorted({str(folder) for path, _ in named for folder in PurePosixPath(path).parents} - {"."}):
            info = entry(folder, 0, 0o755)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for path, source in named:
            if source in first:
                info = entry(path, 0, 0o755)
                info.type, info.linkname = tarfile.LNKTYPE, first[source]
                tar.addfile(info)
                continue
            first[source] = path
            with open(source, "rb") as file:
                data = file.read()
            tar.addfile(entry(path, len(data), 0o755), io.BytesIO(data))
    return out.getvalue()


class Archive:
    """Blobs by digest, in memory or as a file's path, and what points to them."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes | str] = {}

    def add(self, data: bytes, media_type: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_file(self, path: str, media_type: str) -> dict:
        """A blob too large for memory; the file must stay until the archive is written."""
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.blobs[digest] = path
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": os.path.getsize(path)}

    def add_json(self, value: dict, media_type: str) -> dict:
        return self.add(json.dumps(value, sort_keys=True).encode(), media_type)

    def image(self, platform: str, entrypoint: str, files: list[tuple[str, str]]) -> dict:
        layer_ref = self.add(layer(files), LAYER_TYPE)
        return self.assemble(platform, {"Entrypoint": [entrypoint], "User": USER, "WorkingDir": "/"}, layer_ref)

    def assemble(self, platform: str, settings: dict, layer_ref: dict) -> dict:
        """An image of this layer; the settings are what the runtime reads: Entrypoint, User, Env."""
        system, architecture = platform.split("/")
        config = {
            "architecture": architecture,
            "os": system,
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [layer_ref["digest"]]},
        }
        config_ref = self.add_json(config, "application/vnd.oci.image.config.v1+json")
        manifest_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": manifest_type, "config": config_ref, "layers": [layer_ref]}
        reference = self.add_json(manifest, manifest_type)
        reference["platform"] = {"architecture": architecture, "os": system}
        return reference

    def write(self, path: str, name: str, images: list[dict]) -> None:
        index_type = "application/vnd.oci.image.index.v1+json"
        index = self.add_json({"schemaVersion": 2, "mediaType": index_type, "manifests": images}, index_type)
        annotations = {"org.opencontainers.image.ref.name": name.rpartition(":")[2], "io.containerd.image.name": name}
        top = {"schemaVersion": 2, "mediaType": index_type, "manifests": [index | {"annotations": annotations}]}
        first = json.loads(self.blobs[images[0]["digest"].removeprefix("sha256:")])
        blob = lambda reference: "blobs/sha256/" + reference["digest"].removeprefix("sha256:")
        docker = [{"Config": blob(first["config"]), "RepoTags": [name], "Layers": [blob(first["layers"][0])]}]
        files: dict[str, bytes | str] = {f"blobs/sha256/{digest}": data for digest, data in self.blobs.items()}
        files["index.json"] = json.dumps(top, sort_keys=True).encode()
        files["manifest.json"] = json.dumps(docker, sort_keys=True).encode()
        files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
        with tarfile.open(path + ".tmp", "w", format=tarfile.USTAR_FORMAT) as tar:
            for member in sorted(files):
                data = files[member]
                with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
                    size = file.seek(0, io.SEEK_END)
                    file.seek(0)
                    tar.addfile(entry(member, size, 0o644), file)
        os.replace(path + ".tmp", path)


def main(out: str, name: str, entrypoint: str, *platforms: str) -> None:
    archive, files = Archive(), {}
    for argument in platforms:
        platform, _, file = argument.partition("=")
        source, _, path = file.partition(":")
        files.setdefault(platform, []).append((source, path or entrypoint))
    archive.write(out, name, [archive.image(platform, entrypoint, files[platform]) for platform in files])
    print(out)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
