"""Checks the chart with Helm's own engine (its Go SDK) under each of cases/: lint, templates, the values'
schema; then what comes out with the schemas of Kubernetes, KEDA and the Prometheus operator, and by our own
rules. No cluster."""

import pathlib
import re
import shutil
import sys
import tempfile

import helm_python as helm
import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as prometheus

here = pathlib.Path(__file__).resolve().parent
sys.path.append(str(here.parent))
from settings import unknown

# As a package has it: Helm follows a link to a file outside, and says so each time.
folder = tempfile.TemporaryDirectory()
CHART = shutil.copytree(here / "voxage", pathlib.Path(folder.name) / "voxage")
ALERTS = yaml.safe_load((here.parent / "monitoring/alerts.yaml").read_text())
# The oldest that the chart allows, and the newest that there are schemas of.
KUBERNETES = ("1.27", "1.37")
VERBS = {"coordinator", "feature-worker", "trainer", "predictor", "serve"}
# What knows resources that are not Kubernetes' own.
OTHERS = {"keda.sh": keda, "monitoring.coreos.com": prometheus}
SECRETS = {"VOXAGE_QUEUE", "VOXAGE_API_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}

# What the values' schema must refuse, and what it must say.
REFUSED = {
    "root": {"secretName": "s"},
    "pattern": {"secretName": "s", "store": {"root": "/folder"}},
    "secretName": {"store": {"root": "s3://b/p"}},
    "slot": {"secretName": "s", "store": {"root": "s3://b/p"}, "featureWorker": {"slot": 1}},
    "tag": {"secretName": "s", "store": {"root": "s3://b/p"}, "image": {"tag": "latest"}},
    "interval": {"secretName": "s", "store": {"root": "s3://b/p"}, "metrics": {"podMonitor": {"interval": "often"}}},
}


def strict(schema):
    """The schema, refusing what it does not name."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        if isinstance(schema.get("pattern"), str):
            # Go takes a flag anywhere, Python at the beginning only.
            schema["pattern"] = re.sub(r"^\^\(\?i\)", "(?i)^", schema["pattern"])
        for part in schema.values():
            strict(part)
    elif isinstance(schema, list):
        for part in schema:
            strict(part)
    return schema


def conforms(document):
    """Fails unless Kubernetes, or whose resource it is, would take the document."""
    other = OTHERS.get(document["apiVersion"].split("/")[0])
    if other:
        # These have Kubernetes' metadata, which the schemas leave open.
        part = {key: value for key, value in document.items() if key != "metadata"}
        jsonschema.validate(part, strict(getattr(other, document["kind"]).model_json_schema()))
        return
    for version in KUBERNETES:
        kubernetes_validate.validate(document, version, strict=True)


def container(document):
    """Fails unless the pods of a Deployment are as all of ours must be."""
    pod = document["spec"]["template"]["spec"]
    (one,) = pod["containers"]
    verb, name = one["args"][0], document["metadata"]["name"]
    assert verb in VERBS, f"{name}: no verb {verb}"
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"], name
    security = one["securityContext"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name
    assert security["capabilities"] == {"drop": ["ALL"]}, name
    assert "memory" in one["resources"]["limits"], name
    assert not unknown(variable["name"] for variable in one["env"]), name
    variables = {variable["name"]: variable.get("value") for variable in one["env"]}
    for variable in one["env"]:
        assert ("valueFrom" in variable) == (variable["name"] in SECRETS), f"{name}: {variable['name']}"
    assert ("VOXAGE_API_TOKEN" in variables) == (verb == "coordinator"), name
    # Asked is the port that it listens on: that of its flag, or else that for metrics.
    (port,) = one["ports"]
    listen = one["args"][one["args"].index("--listen") + 1] if "--listen" in one["args"] else None
    assert variables.get("VOXAGE_METRICS_LISTEN", listen) == f"0.0.0.0:{port['containerPort']}", name
    assert ("VOXAGE_METRICS_LISTEN" in variables) == (listen is None), name
    for probe, path in (("startup", "/healthz"), ("readiness", "/readyz"), ("liveness", "/healthz")):
        assert one[f"{probe}Probe"]["httpGet"] == {"path": path, "port": port["name"]}, f"{name}: {probe}"
    if "--grace-s" in one["args"]:
        grace = int(one["args"][one["args"].index("--grace-s") + 1])
        assert pod["terminationGracePeriodSeconds"] > grace, f"{name} is killed within its grace"
    mounts = {mount["name"] for mount in one["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}, name


def render(case):
    """What comes out of the chart under a case, after lint."""
    values = yaml.safe_load(case.read_text())
    for version in KUBERNETES:
        report = helm.lint(CHART, values, strict=True, kube_version=f"v{version}.0")
        # 1 is a remark, such as that there is no icon.
        faults = [message for message in report["messages"] if message["severity"] > 1]
        assert not faults and not report["errors"], f"{case.name}: {faults} {report['errors']}"
    with helm.Chart.load(CHART) as chart:
        files = chart.render(values, name="night", namespace="voices")
    documents = []
    for path, text in files.items():
        if path.endswith(".yaml"):
            documents += [document for document in yaml.safe_load_all(text) if document]
    return documents


def check(case):
    documents = render(case)
    kinds = [document["kind"] for document in documents]
    assert "Secret" not in kinds, f"{case.name}: secrets come from elsewhere"
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names), f"{case.name}: {names}"
    deployments = [document for document in documents if document["kind"] == "Deployment"]
    pods = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in deployments]
    containers = [one for deployment in deployments for one in deployment["spec"]["template"]["spec"]["containers"]]
    ports = {port["name"]: port["containerPort"] for one in containers for port in one["ports"]}
    for document in documents:
        try:
            conforms(document)
        except Exception as error:
            sys.exit(f"{case.name}: {document['kind']} {document['metadata']['name']}: {error}")
        if document["kind"] == "Deployment":
            container(document)
        if document["kind"] == "ConfigMap":
            assert not unknown(document["data"]), unknown(document["data"])
        if document["kind"] in ("PodDisruptionBudget", "NetworkPolicy", "Service", "PodMonitor"):
            spec = document["spec"]
            selector = spec.get("selector", {}) if "podSelector" not in spec else spec["podSelector"]
            labels = selector.get("matchLabels", selector)
            assert any(labels.items() <= pod.items() for pod in pods), f"{case.name}: {document} is about nobody"
        if document["kind"] == "NetworkPolicy":
            for rule in document["spec"].get("ingress", []):
                assert rule["from"], f"{case.name}: {document['metadata']['name']} lets everybody in"
        if document["kind"] == "Service":
            for port in document["spec"]["ports"]:
                assert ports[port["targetPort"]] == port["port"], f"{case.name}: {document['metadata']['name']}"
        if document["kind"] == "PodMonitor":
            asked = {endpoint["port"] for endpoint in document["spec"]["podMetricsEndpoints"]}
            assert ports.keys() <= asked, f"{case.name}: {ports.keys() - asked} are not scraped"
        if document["kind"] == "PrometheusRule":
            assert document["spec"] == ALERTS, f"{case.name}: other alerts than deploy/monitoring's"
        if document["kind"] == "ScaledObject":
            assert ("Deployment", document["spec"]["scaleTargetRef"]["name"]) in names
    print(f"  {case.name}: {len(documents)} resources")


for said, values in REFUSED.items():
    with helm.Chart.load(CHART) as chart:
        try:
            chart.validate_schema(values)
        except helm.HelmValuesError as error:
            assert said in str(error), f"{values} is refused without a word of {said}: {error}"
        else:
            sys.exit(f"the values' schema takes {values}")
for case in sorted((here / "cases").glob("*.yaml")):
    check(case)
