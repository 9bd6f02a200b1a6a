# A seed of another cluster, of another role set or a damaged one starts nothing, and the console says why.
CLUSTER_TEXT = Path(CLUSTER).read_text()
make_seeds(CLUSTER_TEXT, ["node-1"])
damaged = (SEEDS / "node-1").read_bytes()[:-20]
(SEEDS / "node-1").write_bytes(damaged)
# The secrets of the first cluster are of no use to a second one.
shutil.rmtree(SEEDS / "cluster.secrets")
make_seeds(CLUSTER_TEXT.replace('"vm"', '"other"'), ["node-2"])
shutil.rmtree(SEEDS / "cluster.secrets")
poolless = CLUSTER_TEXT.replace('"192.168.1.13" }', '"192.168.1.13", roles = ["etcd", "postgres"] }')
make_seeds(poolless, ["node-3"])
for node, why in [
    (node_1, "the seed is damaged"),
    (node_2, "the seed is for cluster other"),
    (node_3, "the seed is for role_set"),
]:
    with subtest(why):
        node.start()
        node.wait_for_console_text(f"pgha-seed: refused: {why}", timeout=300)
        node.shutdown()
