"""Every metric and label that the dashboard and the alert rules ask for is one that the server states."""

import json
import re
from pathlib import Path

import yaml
from prometheus_client import REGISTRY

from serving.observability import metrics

DEPLOY = Path(__file__).parents[3] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "mitoserve.json"

Stated = dict[str, set[str]]


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def alerts() -> list[str]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def read_stated() -> Stated:
    """Label names by the names of series, also of metrics that have no series yet."""
    assert metrics.exposition()
    labels: Stated = {}
    for collector in list(REGISTRY._collector_to_names):
        names = {name for name in REGISTRY._collector_to_names[collector] if name.startswith("mitoserve_")}
        for name in names:
            labels[name] = set(getattr(collector, "_labelnames", ()))
            if name.endswith("_bucket"):
                labels[name].add("le")
    return labels


def test_every_metric_exists() -> None:
    known = read_stated()
    asked = {name for e in [*expressions(), *alerts()] for name in re.findall(r"\bmitoserve_\w+", e)}
    assert asked
    assert asked - known.keys() == set()


def test_every_label_exists() -> None:
    known = read_stated()
    for expression in [*expressions(), *alerts()]:
        names = re.findall(r"\bmitoserve_\w+", expression)
        asked = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        assert all(asked <= known[name] for name in names), expression


def test_every_metric_is_shown() -> None:
    shown = " ".join(expressions())
    families = {re.sub(r"_(total|sum|count|bucket|created)$", "", name) for name in read_stated()}
    assert {family for family in families if family not in shown} == set()
