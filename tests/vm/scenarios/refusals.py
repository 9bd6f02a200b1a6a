# A node that must not start says why: data of a newer PostgreSQL, an emptied volume.
form()
victim = replicas()[0]
with subtest("data written by a newer PostgreSQL"):
    victim.succeed("systemctl stop patroni")
    victim.succeed("echo 99 > /var/lib/pgha/postgresql/data/PG_VERSION")
    victim.fail("systemctl restart pgha-data")
    victim.succeed("grep -q 'written by PostgreSQL 99' /run/pgha/refused")
    victim.fail("systemctl start patroni")
with subtest("a volume that was emptied"):
    victim.succeed("rm -rf /var/lib/pgha/owner.json /var/lib/pgha/postgresql")
    victim.fail("systemctl restart pgha-data")
    victim.succeed("grep -q 'the data volume is empty' /run/pgha/refused")
with subtest("the others go on"):
    lead = wait_for_leader()
    assert write(10, lead) == 10
