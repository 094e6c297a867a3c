"""Say of what an image is made, in CycloneDX: `image_sbom.py ARCHIVE OUT`.

The layers of an OCI archive are read, not believed: Debian's packages as dpkg has them there, those of Python by their
metadata, and Python itself by the variable that its image sets.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import IO, Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

READ = re.compile(r"(\./)?(var/lib/dpkg/status|usr/lib/os-release|.*\.dist-info/METADATA)")
"""The files that say what is there."""
GONE = ".wh."
"""How the name of a file begins that says that another one of a lower layer is no more."""


class Image:
    """What is read of an image: `files`, texts by path; `config`, its configuration; `digest`, that of its manifest."""

    def __init__(self, archive: Path) -> None:
        self.files: dict[str, str] = {}
        with tarfile.open(archive) as self._archive:
            (entry,) = json.load(self._member("index.json"))["manifests"]
            self.digest: str = entry["digest"]
            manifest = json.load(self._blob(self.digest))
            self.config: dict[str, Any] = json.load(self._blob(manifest["config"]["digest"]))["config"]
            for layer in manifest["layers"]:
                with tarfile.open(fileobj=self._blob(layer["digest"])) as files:
                    self._read(files)

    def _member(self, name: str) -> IO[bytes]:
        found = self._archive.extractfile(name)
        assert found is not None  # noqa: S101 - or KeyError
        return found

    def _blob(self, digest: str) -> IO[bytes]:
        return self._member(f"blobs/{digest.replace(':', '/')}")

    def _read(self, layer: tarfile.TarFile) -> None:
        for member in layer:
            path = member.name.removeprefix("./")
            folder, _, name = path.rpartition("/")
            if name.startswith(GONE):
                gone = f"{folder}/{name.removeprefix(GONE)}".lstrip("/")
                if name == ".wh..wh..opq":
                    gone = folder
                self.files = {one: text for one, text in self.files.items() if not f"{one}/".startswith(f"{gone}/")}
            elif READ.fullmatch(path) and (file := layer.extractfile(member)):
                self.files[path] = file.read().decode(errors="replace")


def components(image: Image) -> Iterator[Component]:
    """Yield what is in an image."""
    system = dict(line.split("=", 1) for line in image.files["usr/lib/os-release"].splitlines() if "=" in line)
    distribution = {"distro": f"{system['ID']}-{system['VERSION_ID']}".replace('"', "")}
    for entry in image.files["var/lib/dpkg/status"].split("\n\n"):
        package = HeaderParser().parsestr(entry)
        if package.get("Status") == "install ok installed":
            more = {"arch": package["Architecture"], **distribution}
            url = PackageURL("deb", system["ID"].strip('"'), package["Package"], package["Version"], more)
            yield _component(url, OrganizationalEntity(name=package["Maintainer"]))
    for path, text in image.files.items():
        if path.endswith("/METADATA"):
            package = HeaderParser().parsestr(text)
            yield _component(PackageURL("pypi", None, package["Name"].lower().replace("_", "-"), package["Version"]))
    for name, _, value in (variable.partition("=") for variable in image.config.get("Env", ())):
        if name == "PYTHON_VERSION":
            yield _component(PackageURL("generic", None, "python", value))


def _component(url: PackageURL, supplier: OrganizationalEntity | None = None) -> Component:
    return Component(
        type=ComponentType.LIBRARY, name=url.name, version=url.version, purl=url, bom_ref=str(url), supplier=supplier
    )


def main(archive: Path, out: Path) -> None:
    """Write the SBOM. It says neither when it was made nor has a number of its own, so it is the same each time."""
    image = Image(archive)
    bom = Bom(components=components(image))
    labels = image.config.get("Labels", {})
    version = labels.get("org.opencontainers.image.version")
    url = PackageURL("oci", None, "vdvs", image.digest)
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER, name="vdvs", version=version, purl=url, bom_ref=str(url)
    )
    made = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    del made["serialNumber"], made["metadata"]["timestamp"]
    out.write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
