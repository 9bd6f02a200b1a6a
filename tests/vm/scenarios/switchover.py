# A planned change of leader loses nothing.
form()
old = wait_for_leader()
assert write(20, old) == 20
old.succeed("/etc/pgha/bin/patronictl -c /run/pgha/patroni.d switchover --force")
new = wait_for_leader([node for node in NODES if node is not old])
assert write(20, new) == 20
retry(healthy, 300)
nothing_is_lost()
