"""Checks what promtool cannot: that rules and dashboard name only metrics and labels that docs/metrics.md has,
that the code has the same metrics, that each alert has its section in docs/runbook.md and its tests, and that
the dashboard's panels have their own ids and places.

    check.py FILE   also writes the dashboard's queries to FILE as rules, for promtool to read"""

import json
import pathlib
import re
import sys

import yaml

here = pathlib.Path(__file__).resolve().parent
top = here.parent.parent
WIDTH = 24  # of Grafana's grid

METRIC = re.compile(r"\bvoxage_\w+")
# A metric with its matchers, and what groups or joins.
SELECTOR = re.compile(r"\b(voxage_\w+)\{([^}]*)\}")
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
# Of every target; `le` of histograms is added where it belongs.
SCRAPED = {"job", "instance"}
PARTS = ("_bucket", "_sum", "_count")


def documented():
    """Each metric of docs/metrics.md with its labels; of a histogram each of its parts."""
    metrics = {}
    for line in (top / "docs/metrics.md").read_text().splitlines():
        found = re.match(r"\| `(voxage_\w+)` \| (counter|gauge|histogram) \|([^|]*)\|", line)
        if not found:
            continue
        name, kind, labels = found[1], found[2], set(re.findall(r"`(\w+)`", found[3]))
        assert name not in metrics, f"docs/metrics.md has {name} twice"
        assert (kind == "counter") == name.endswith("_total"), f"docs/metrics.md: {name} is no {kind}"
        metrics[name] = labels
        if kind == "histogram":
            metrics |= {name + part: labels | ({"le"} if part == "_bucket" else set()) for part in PARTS}
    return metrics


def coded():
    """The metrics that the sources describe."""
    services = (top / "proto/service/src/metrics.rs").read_text()
    serve = (top / "workers/trainer/src/serve/metrics.rs").read_text()
    return set(re.findall(r'\("(voxage_\w+)", "', services)) | set(re.findall(r'head\("(voxage_\w+)"', serve))


def known(query, where, metrics):
    """Fails if a query names what there is not."""
    for name in METRIC.findall(query):
        assert name in metrics, f"{where}: docs/metrics.md has no {name}"
    for name, matchers in SELECTOR.findall(query):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert labels <= metrics[name] | SCRAPED, f"{where}: {name} has no {labels - metrics[name]}"
    having = SCRAPED.union(*(metrics[name] for name in METRIC.findall(query)))
    for group in GROUPING.findall(query):
        labels = set(re.findall(r"\w+", group))
        assert labels <= having, f"{where}: nothing there has {labels - having}"


def alerts(metrics):
    """Checks the alerts; gives their number."""
    rules = [rule for group in yaml.safe_load((here / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
    cases = {}
    for test in yaml.safe_load((here / "alerts_test.yaml").read_text())["tests"]:
        for case in test["alert_rule_test"]:
            cases.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    runbook = (top / "docs/runbook.md").read_text()
    names = [rule["alert"] for rule in rules]
    assert len(set(names)) == len(names), f"an alert is there twice: {names}"
    for rule in rules:
        name, notes = rule["alert"], rule["annotations"]
        known(rule["expr"], name, metrics)
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert notes["summary"] and notes["description"], name
        assert notes["runbook"] == f"docs/runbook.md#{name.lower()}", name
        assert runbook.count(f"\n## {name}\n") == 1, f"docs/runbook.md has no section {name}"
        assert cases.get(name) == {True, False}, f"alerts_test.yaml: {name} must fire once, and once not"
    sections = re.findall(r"^## (Voxage\w+)$", runbook, re.MULTILINE)
    assert sections == names, f"docs/runbook.md has other sections, or another order: {set(sections) ^ set(names)}"
    assert cases.keys() == set(names), f"alerts_test.yaml: no alerts: {cases.keys() - set(names)}"
    return len(names)


def dashboard(metrics):
    """Checks the dashboard; gives its queries."""
    board = json.loads((here / "dashboard.json").read_text())
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert "datasource" in variables and board["schemaVersion"] >= 39
    queries, ids, taken = [], set(), {}
    for panel in board["panels"]:
        title = panel["title"]
        assert panel["id"] not in ids, f"{title}: its id {panel['id']} is another's, too"
        ids.add(panel["id"])
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH, f"{title} is beyond the edge"
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
            assert cell not in taken, f"{title} lies upon {taken[cell]}"
            taken[cell] = title
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] == "${datasource}", f"{title}: its data come from elsewhere"
        assert panel["fieldConfig"]["defaults"]["unit"], f"{title} has no unit"
        refs = [target["refId"] for target in panel["targets"]]
        assert refs and len(set(refs)) == len(refs), f"{title}: {refs}"
        for target in panel["targets"]:
            query = target["expr"]
            for name in re.findall(r"\$(\w+)", query):
                assert name in variables or name == "__rate_interval", f"{title}: no variable {name}"
            known(query, title, metrics)
            queries.append(query.replace("$__rate_interval", "5m"))
    return queries


metrics = documented()
names = {name for name in metrics if name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") == name}
found = coded()
assert found == names, f"docs/metrics.md and the code differ: {sorted(found ^ names)}"
count, queries = alerts(metrics), dashboard(metrics)
print(f"  {len(names)} metrics, {count} alerts, {len(queries)} queries of the dashboard")
if len(sys.argv) > 1:
    rules = [{"record": f"dashboard:{n}", "expr": query} for n, query in enumerate(queries)]
    pathlib.Path(sys.argv[1]).write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
