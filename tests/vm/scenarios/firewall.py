# A stranger in the nodes' own network reaches HAProxy and SSH, and no daemon behind them.
ADDRESS = "192.168.1.11"
form()
stranger.start()


def answers(port: int) -> bool:
    return stranger.execute(f"timeout 3 bash -c '</dev/tcp/{ADDRESS}/{port}'")[0] == 0


with subtest("what is for clients and operators"):
    for port in (22, 5000, 5001, 5002, 7000):
        assert answers(port), f"port {port} is closed"
with subtest("what is for nodes alone"):
    for port in (2379, 2380, 2382, 5432, 6430, 6431, 6432, 8008):
        assert not answers(port), f"port {port} is open"
