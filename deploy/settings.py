"""The variables that voxage knows, out of its source, so that files for production name no others."""

import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "src"


def known() -> set[str]:
    """Names of the variables of all settings, and of those that are none."""
    help = (SOURCE / "settings/help.rs").read_text()
    keys = re.findall(r'\(\s*"([a-z0-9_.]+)",', help)
    variables = {"VOXAGE_" + key.replace(".", "_").upper() for key in keys}
    others = (SOURCE / "settings/variables.rs").read_text()
    return variables | set(re.findall(r'"(VOXAGE_[A-Z]+)",', others))


def unknown(names) -> set[str]:
    """Those of the names that look like a setting's and are none."""
    return {name for name in names if name.startswith("VOXAGE_")} - known()
