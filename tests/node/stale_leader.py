"""Patroni's own client and a real etcd: a leader that slept for longer than its lock lives does not take it back."""

import subprocess
import tempfile
import time

from patroni.dcs.etcd3 import Etcd3
from patroni.postgresql.mpp import get_mpp

TTL = 20
URL = "http://127.0.0.1:23790"
CONFIG = {"name": "a", "scope": "s", "namespace": "service", "host": URL.removeprefix("http://"), "ttl": TTL, "loop_wait": 1, "retry_timeout": 4}


def until(seen):
    """Patroni reads through a cache that follows etcd."""
    for _ in range(100):
        if seen():
            return
        time.sleep(0.1)
    raise AssertionError("the cache never followed")


def led(dcs):
    """The leader key as the leader sees it in its cache, after its lease was revoked."""
    assert dcs.attempt_to_acquire_leader(), "the lock was not free"
    until(lambda: (leader := dcs.get_cluster().leader) and leader.session == dcs._lease)
    leader = dcs.get_cluster().leader
    dcs._client.call_rpc("/lease/revoke", {"ID": leader.session})
    until(lambda: not dcs.get_cluster().leader)
    return leader


def sleep_through_the_lock():
    """The clock of a machine that was frozen has gone on."""
    now = time.clock_gettime
    time.clock_gettime = lambda clock: now(clock) + TTL


with tempfile.TemporaryDirectory() as data:
    etcd = ["/usr/bin/etcd", "--data-dir", data, "--listen-client-urls", URL, "--advertise-client-urls", URL,
            "--listen-peer-urls", "http://127.0.0.1:23800", "--log-level", "error"]
    server = subprocess.Popen(etcd)
    try:
        dcs = Etcd3(CONFIG, get_mpp({}))
        leader = led(dcs)
        assert dcs._update_leader(leader), "a leader that is awake lost its lock with its lease"
        until(lambda: dcs.get_cluster().leader)
        dcs.delete_leader(dcs.get_cluster().leader)
        until(lambda: not dcs.get_cluster().leader)
        leader = led(dcs)
        sleep_through_the_lock()
        # As Patroni does at the beginning of each round.
        dcs.refresh_lease()
        assert not dcs._update_leader(leader), "a leader that slept took the lock back"
        assert dcs.attempt_to_acquire_leader(), "nobody may lead any more"
    finally:
        server.kill()
