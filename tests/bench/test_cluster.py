"""A job on a Ray cluster of two worker nodes on this machine, one of which is killed in the middle."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest

from ponder.bench.cluster import run_on_ray
from ponder.bench.rows import read_rows
from ponder.bench.runner import run_job
from ponder.bench.traces import read_packed
from ponder.core.errors import ConfigError
from ponder.core.result import total
from tests.bench.job_worlds import INFO, facts, job, small

pytestmark = [
    pytest.mark.slow,
    # Ray's own: it leaves sockets and files to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ray = pytest.importorskip("ray", reason="ray not installed: pip install 'ponder[ray]'")


@pytest.fixture
def cluster():
    """A head without room for workers, two nodes with a CPU each, and this process as their driver.

    Ray gives its nodes the machine's own address, not that of the loopback: it turns the one into the other.
    """
    from ray.cluster_utils import Cluster

    small_node = {"object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small_node})
    made.workers = [made.add_node(num_cpus=1, **small_node) for _ in range(2)]
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        with warnings.catch_warnings():  # what Ray leaves open must not count against a later test
            warnings.simplefilter("ignore")
            del made
            gc.collect()


def _opener(latency):
    # Made here, so that it is sent by value: the workers do not have the tests' modules on their path.
    info = INFO

    def opener(spec):
        from ponder.models.scripted import ScriptedModel

        replies = [f"{a} x {b} = {a * b}" for a in range(3, 9) for b in range(11, 19)]
        return ScriptedModel(replies=replies, name="small", info=info, latency=latency)

    return opener


async def test_a_node_killed_in_the_middle_loses_nothing_and_rows_are_those_of_a_local_run(cluster, tmp_path):
    wanted = job(count=12)
    local, remote = tmp_path / "local", tmp_path / "remote"
    await run_job(wanted, local, opener=_opener(0.0))
    killed: list[int] = []

    def tell(status):
        if status.done >= 12 and not killed:
            killed.append(status.done)
            cluster.remove_node(cluster.workers[0], allow_graceful=False)

    done = await run_on_ray(
        wanted, remote, address=cluster.address, workers=2, concurrency=2, opener=_opener(0.1), tell=tell
    )
    assert killed
    assert killed[0] < wanted.size(12)
    assert (done.done, done.stopped, dict(done.missing)) == (wanted.size(12), "done", {})
    assert facts(remote) == facts(local)
    runs = [row.run for row in read_rows(remote / "rows.jsonl")]
    traces = read_packed(remote / "traces.sqlite", runs)  # they came back with the rows
    assert list(traces) == runs
    assert all(told[-1].kind == "run" and told[-1].phase == "close" for told in traces.values())
    again = await run_job(wanted, remote, opener=lambda spec: pytest.fail("opened"))
    assert again.before == done.done
    more = await run_job(job(count=12, budgets=("", "calls=3")), remote, opener=_opener(0.0))
    assert total(more.paid).calls == 0  # the answers came back to the driver's store


def test_no_cluster_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no Ray cluster"):
        asyncio.run(run_on_ray(job(), tmp_path, address="127.0.0.1:1", opener=small))
