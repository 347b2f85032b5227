"""The example of a cluster on Kubernetes: workers as docs/cluster.md starts them."""

import re
from typing import Any

import pytest
from shown_names import PROJECT

yaml = pytest.importorskip("yaml")

FILE = PROJECT / "examples" / "dask-cluster.yaml"
DOCUMENT = (PROJECT / "docs" / "cluster.md").read_text(encoding="utf-8")


@pytest.fixture
def cluster() -> Any:
    """The resource that the file describes."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def test_it_is_a_cluster_of_the_operator(cluster: Any) -> None:
    assert (cluster["apiVersion"], cluster["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    assert cluster["spec"]["worker"]["replicas"] > 1


def test_its_workers_are_started_as_the_document_says(cluster: Any) -> None:
    (worker,) = cluster["spec"]["worker"]["spec"]["containers"]
    options = " ".join(worker["args"])
    assert options == "dask worker --name $(DASK_WORKER_NAME) --nthreads 1 --memory-limit 0"
    (by_hand,) = re.findall(r"dask worker tcp.*(--nthreads .*)", DOCUMENT)
    assert options.endswith(by_hand)
    (scheduler,) = cluster["spec"]["scheduler"]["spec"]["containers"]
    assert scheduler["image"] == worker["image"]  # all have the same versions


def test_the_scheduler_is_reached_under_the_name_of_the_document(cluster: Any) -> None:
    service = cluster["spec"]["scheduler"]["service"]
    name = cluster["metadata"]["name"]
    assert service["selector"]["dask.org/cluster-name"] == name
    (port,) = (each["port"] for each in service["ports"] if each["name"] == "tcp-comm")
    assert f"service/{name}-scheduler {port}" in DOCUMENT
    assert f"tcp://{name}-scheduler:{port}" in DOCUMENT
    (scheduler,) = cluster["spec"]["scheduler"]["spec"]["containers"]
    names = {each["name"] for each in scheduler["ports"]}
    assert {each["targetPort"] for each in service["ports"]} == names
