# Shared by every scenario: the cluster as its own daemons see it, and a writer that remembers what was acknowledged.
import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driver import CLUSTER, PGHA, Machine, node_1, node_2, node_3, node_3_next, retry, stranger, subtest

NODES: "list[Machine]" = [node_1, node_2, node_3]
PSQL = "runuser -u postgres -- /etc/pgha/bin/psql -XAtqh /run/postgresql -v ON_ERROR_STOP=1 -c"
PATRONI = "curl -sf --max-time 3 --cacert /run/pgha/tls/ca.crt https://127.0.0.1:8008"
SEEDS = Path(tempfile.mkdtemp())
acknowledged: list[int] = []
attempted = 0


def members(seen_from: "Machine") -> list[dict[str, Any]]:
    status, text = seen_from.execute(f"{PATRONI}/cluster")
    return list(json.loads(text)["members"]) if status == 0 else []


def leader(of: "list[Machine] | None" = None) -> "Machine | None":
    """The node whose own Patroni says that it is the primary."""
    for node in of or NODES:
        if node.execute(f"{PATRONI}/primary")[0] == 0:
            return node
    return None


def replicas() -> "list[Machine]":
    return [node for node in NODES if node is not leader()]


def wait_for_leader(of: "list[Machine] | None" = None, seconds: int = 180) -> "Machine":
    found: "list[Machine]" = []

    def look(_last: bool) -> bool:
        node = leader(of)
        found[:] = [node] if node else []
        return bool(found)

    retry(look, seconds)
    return found[0]


def healthy(_last: bool) -> bool:
    lead = leader()
    states = [member["state"] for member in members(lead)] if lead else []
    return sorted(states) == ["running", "streaming", "streaming"]


def make_seeds(cluster: str, nodes: list[str]) -> None:
    """Where the machines' start scripts look for them."""
    file = SEEDS / "cluster.toml"
    file.write_text(cluster)
    for node in nodes:
        text = SEEDS / "seed"
        subprocess.run([PGHA, "-f", file, "seed", node, "--make-secrets", "--new-volume", "--out", text], check=True)
        (SEEDS / node).write_bytes(base64.b64decode(text.read_text()))
    os.environ["PGHA_SEEDS"] = str(SEEDS)


def form() -> None:
    make_seeds(Path(CLUSTER).read_text(), ["node-1", "node-2", "node-3"])
    # Not start_all(): node_3_next has node_3's address.
    for node in NODES:
        node.start()
    retry(healthy, 600)
    lead = wait_for_leader()
    lead.succeed(f"{PSQL} 'CREATE TABLE written (id int PRIMARY KEY)'")


def write(count: int, via: "Machine") -> int:
    """Inserts on one node. Gives how many were acknowledged."""
    global attempted
    before = len(acknowledged)
    for _ in range(count):
        attempted += 1
        if via.execute(f"timeout 5 {PSQL} 'INSERT INTO written VALUES ({attempted})'")[0] == 0:
            acknowledged.append(attempted)
    return len(acknowledged) - before


def nothing_is_lost() -> None:
    """Every acknowledged row is there, and no row that was never tried."""
    rows = wait_for_leader().succeed(f"{PSQL} 'SELECT id FROM written'").split()
    there = {int(row) for row in rows}
    lost = set(acknowledged) - there
    assert not lost, f"{len(lost)} acknowledged rows are lost, the first is {min(lost)}"
    assert there <= set(range(1, attempted + 1)), "rows nobody wrote"


def cut_off(node: "Machine") -> None:
    node.block()


def give_data_disk(source: "Machine", target: "Machine") -> None:
    """Neither may run. QEMU's script makes a blank disk only where there is none."""
    shutil.copy(source.state_dir / "empty0.qcow2", target.state_dir / "empty0.qcow2")


def timeline(node: "Machine") -> int:
    return int(node.succeed(f"{PSQL} 'SELECT timeline_id FROM pg_control_checkpoint()'"))
