"""Checks what the schema of compose files cannot: that what is referred to is there, and our own rules."""

import pathlib
import sys

import yaml

here = pathlib.Path(__file__).resolve().parent
sys.path.append(str(here.parent))
from settings import unknown

# With merge keys carried out, as compose does.
document = yaml.safe_load((here / "compose.yaml").read_text())

for name, service in document["services"].items():
    for other in service.get("depends_on", {}):
        assert other in document["services"], f"{name} waits for {other}, which is not there"
    for config in service.get("configs", []):
        assert config["source"] in document["configs"], f"{name}: no config {config['source']}"
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in document["volumes"], f"{name}: no volume {volume}"
    names = service.get("environment", {})
    assert not unknown(names), f"{name}: no settings of voxage: {unknown(names)}"
    for key, value in names.items():
        if any(secret in key for secret in ("PASS", "SECRET", "TOKEN")):
            assert value.startswith("${"), f"{name}: {key} stands in the file"
    if "build" in service:
        build = service["build"]
        context = (here / build["context"]).resolve()
        text = (context / build["dockerfile"]).read_text()
        if "target" in build:
            assert f" AS {build['target']}\n" in text, f"{name}: no stage {build['target']}"
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
    else:
        assert "@sha256:" in service["image"], f"{name}: {service['image']} is not pinned"
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{name}: {port} is open to others"

for name, config in document["configs"].items():
    assert (here / config["file"]).is_file(), f"no file of {name}"

# Prometheus finds services by their names, at the ports that they listen on.
(job,) = yaml.safe_load((here.parent / "monitoring/prometheus.yaml").read_text())["scrape_configs"]
for found in job["dns_sd_configs"]:
    for name in found["names"]:
        variables = document["services"][name]["environment"]
        listen = variables.get("VOXAGE_LISTEN", variables["VOXAGE_METRICS_LISTEN"])
        assert listen == f"0.0.0.0:{found['port']}", f"prometheus.yaml looks for {name} at {found['port']}"
