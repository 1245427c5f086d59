"""Checks the chart with Helm's own engine (its Go SDK) under each of cases/: lint, templates, the values'
schema; then what comes out with the schemas of Kubernetes and KEDA, and by our own rules. No cluster."""

import pathlib
import sys

import helm_python as helm
import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda

here = pathlib.Path(__file__).resolve().parent
sys.path.append(str(here.parent))
from settings import unknown

CHART = here / "voxage"
# The oldest that the chart allows, and the newest that there are schemas of.
KUBERNETES = ("1.27", "1.37")
VERBS = {"coordinator", "feature-worker", "trainer", "predictor", "serve"}

# What the values' schema must refuse, and what it must say.
REFUSED = {
    "root": {"secretName": "s"},
    "pattern": {"secretName": "s", "store": {"root": "/folder"}},
    "secretName": {"store": {"root": "s3://b/p"}},
    "slot": {"secretName": "s", "store": {"root": "s3://b/p"}, "featureWorker": {"slot": 1}},
    "tag": {"secretName": "s", "store": {"root": "s3://b/p"}, "image": {"tag": "latest"}},
}


def strict(schema):
    """The schema, refusing what it does not name."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            strict(part)
    elif isinstance(schema, list):
        for part in schema:
            strict(part)
    return schema


def conforms(document):
    """Fails unless Kubernetes, or KEDA, would take the document."""
    if document["apiVersion"].startswith("keda.sh/"):
        # KEDA's resources have Kubernetes' metadata, which the schemas leave open.
        part = {key: value for key, value in document.items() if key != "metadata"}
        jsonschema.validate(part, strict(getattr(keda, document["kind"]).model_json_schema()))
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
    # Who has no endpoint is not asked.
    assert ("readinessProbe" in one) == (verb == "serve"), name
    assert not unknown(variable["name"] for variable in one["env"]), name
    for variable in one["env"]:
        secret = variable["name"] in ("VOXAGE_QUEUE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        assert ("valueFrom" in variable) == secret, f"{name}: {variable['name']}"
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
    pods = [d["spec"]["template"]["metadata"]["labels"] for d in documents if d["kind"] == "Deployment"]
    for document in documents:
        try:
            conforms(document)
        except Exception as error:
            sys.exit(f"{case.name}: {document['kind']} {document['metadata']['name']}: {error}")
        if document["kind"] == "Deployment":
            container(document)
        if document["kind"] == "ConfigMap":
            assert not unknown(document["data"]), unknown(document["data"])
        if document["kind"] in ("PodDisruptionBudget", "NetworkPolicy", "Service"):
            spec = document["spec"]
            selector = spec.get("selector", {}) if "podSelector" not in spec else spec["podSelector"]
            labels = selector.get("matchLabels", selector)
            assert any(labels.items() <= pod.items() for pod in pods), f"{case.name}: {document} is about nobody"
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
