"""Checks the files of variables beside the unit: that voxage knows them, and that no two services of a machine
have the same port."""

import pathlib
import re
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.append(str(here.parent))
from settings import unknown

ports = {}
for file in [*sorted(here.glob("*.env")), here / "voxage.env.example"]:
    # What is commented out is there to be taken.
    variables = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", file.read_text(), re.MULTILINE))
    assert variables and not unknown(variables), f"{file.name}: no settings of voxage: {unknown(variables)}"
    for name, value in variables.items():
        assert not value or not any(secret in name for secret in ("TOKEN", "KEY")), f"{file.name}: {name} stands there"
        if name.endswith("LISTEN"):
            port = value.rsplit(":", 1)[1]
            assert port not in ports, f"{file.name} and {ports[port]} have the same port"
            ports[port] = file.name
