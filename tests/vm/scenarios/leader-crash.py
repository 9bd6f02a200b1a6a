# The leader's machine dies under load: another leads within ttl and a little more, and no acknowledged row is lost.
form()
victim = wait_for_leader()
assert write(50, victim) == 50
victim.crash()
others = [node for node in NODES if node is not victim]
heir = wait_for_leader(others)
assert write(50, heir) == 50
victim.start()
retry(healthy, 300)
nothing_is_lost()
