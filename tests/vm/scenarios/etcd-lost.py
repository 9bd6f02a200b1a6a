# One etcd member lost: nothing stops. Two lost: the leader goes on in failsafe mode, because every member answers it.
form()
lead = wait_for_leader()
first, second = replicas()
with subtest("one of three"):
    first.succeed("systemctl stop etcd")
    assert write(20, lead) == 20
with subtest("two of three"):
    second.succeed("systemctl stop etcd")
    lead.wait_until_succeeds(f"{PATRONI}/patroni | grep -q failsafe_mode_is_active", timeout=90)
    assert write(20, lead) == 20
    assert leader() is lead
for node in (first, second):
    node.succeed("systemctl start --no-block etcd")
retry(healthy, 300)
nothing_is_lost()
