# Three members form a cluster; every link is TLS; each node keeps its contract; the firewall is closed to strangers.
form()
for node in NODES:
    node.succeed("sh /etc/pgha/lib/pgha-contract")
with subtest("TLS on every link"):
    node_1.fail("curl -s --max-time 3 http://127.0.0.1:2382/health | grep -q true")
    node_1.fail("curl -s --max-time 3 http://127.0.0.1:8008/cluster | grep -q members")
    node_1.fail("curl -sk --max-time 3 https://127.0.0.1:2382/health | grep -q true")
with subtest("the metadata service is closed to all but root"):
    node_1.fail("runuser -u postgres -- curl -s --max-time 3 http://169.254.169.254/")
with subtest("nothing outside the data volume survives"):
    node_3.succeed("touch /forgotten")
    node_3.shutdown()
    node_3.start()
    retry(healthy, 300)
