# Another image boots under the same node: data, address and membership stay, and writes never stop.
MEMBERS = (
    "ETCDCTL_CACERT=/run/pgha/tls/etcd-ca.crt ETCDCTL_CERT=/run/pgha/tls/etcd.crt ETCDCTL_KEY=/run/pgha/tls/etcd.key "
    "/etc/pgha/bin/etcdctl --endpoints https://127.0.0.1:2379 member list"
)
form()
if leader() is node_3:
    node_3.succeed("/etc/pgha/bin/patronictl -c /run/pgha/patroni.d switchover --force")
    wait_for_leader([node_1, node_2])
    retry(healthy, 300)
lead = wait_for_leader()
before = lead.succeed(MEMBERS)
first = timeline(lead)
assert write(20, lead) == 20
with subtest("the disk moves to the other image"):
    node_3.shutdown()
    assert write(20, lead) == 20
    give_data_disk(node_3, node_3_next)
    node_3_next.start()
    NODES[2] = node_3_next
    retry(healthy, 300)
with subtest("the node is the same, its image is not"):
    node_3_next.succeed("test -e /etc/another-image")
    node_3_next.succeed("sh /etc/pgha/lib/pgha-contract")
    assert lead.succeed(MEMBERS) == before, "the etcd membership changed"
    assert timeline(lead) == first, "there was a failover"
    node_3_next.wait_until_succeeds(f"test $({PSQL} 'SELECT count(*) FROM written') = {len(acknowledged)}", timeout=30)
nothing_is_lost()
