# The leader is cut off from the others, with a writer beside it: the others elect a leader, the old one stops acknowledging,
# and after healing every acknowledged row is there once.
form()
victim = wait_for_leader()
assert write(20, victim) == 20
cut_off(victim)
write(5, victim)  # quorum commit: without a replica nothing is acknowledged
heir = wait_for_leader([node for node in NODES if node is not victim])
assert write(20, heir) == 20
assert write(3, victim) == 0, "two primaries acknowledged at once"
victim.unblock()
retry(healthy, 300)
nothing_is_lost()
