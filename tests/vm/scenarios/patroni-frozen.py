# Patroni of the leader freezes while its PostgreSQL lives: the guard stops PostgreSQL before another node may lead.
form()
victim = wait_for_leader()
before = timeline(victim)
victim.succeed("systemctl kill --kill-whom=main --signal=SIGSTOP patroni.service")
victim.wait_until_succeeds("grep -q fenced /run/pgha-guard/state", timeout=60)
heir = wait_for_leader([node for node in NODES if node is not victim])
assert timeline(heir) > before
assert write(20, heir) == 20
victim.succeed("systemctl kill --kill-whom=main --signal=SIGCONT patroni.service")
retry(healthy, 300)
nothing_is_lost()
