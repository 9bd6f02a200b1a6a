# Three members form a cluster; every link is TLS; each node keeps its contract; metadata is closed to all but root.
form()
for node in NODES:
    node.succeed("sh /etc/pgha/lib/pgha-contract")
with subtest("TLS on every link"):
    node_1.fail("curl -s --max-time 3 http://127.0.0.1:2382/health | grep -q true")
    node_1.fail("curl -s --max-time 3 http://127.0.0.1:8008/cluster | grep -q members")
    node_1.fail("curl -sk --max-time 3 https://127.0.0.1:2382/health | grep -q true")
with subtest("the metadata service is closed to all but root"):
    ask = "curl -s --max-time 3 http://169.254.169.254/"
    node_1.succeed("ip address add 169.254.169.254/32 dev lo")
    # curl(1): 7 is a refused connection, so the way was open; 28 is silence.
    assert node_1.execute(ask)[0] == 7, "root does not reach it"
    assert node_1.execute(f"runuser -u postgres -- {ask}")[0] == 28, "postgres reaches it"
with subtest("nothing outside the data volume survives"):
    node_3.succeed("touch /forgotten /var/lib/forgotten")
    node_3.shutdown()
    node_3.start()
    retry(healthy, 300)
    node_3.fail("ls /forgotten /var/lib/forgotten 2>/dev/null | grep .")
