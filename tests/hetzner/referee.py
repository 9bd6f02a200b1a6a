"""Drives the fake of Hetzner's API with hcloud-python, which works on the real one: the calls that pgha needs, in
the order of a cluster's life, and what must be refused. usage: referee.py URL TOKEN"""

import sys
import time

from hcloud import APIException, Client
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallResource, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

# Fields of an image, as recorded on 2026-09-08: hcloud-python 2.27.0, tests/unit/images/conftest.py.
IMAGE = """architecture bound_to created created_from deleted deprecation description disk_size id image_size labels
name os_flavor os_version protection rapid_deploy status type""".split()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1bxkqGyC8j1ZJyxJgWwq4Fh0eXkEJjRrK0mYbVnGhc pgha"
LABELS = {"pgha/cluster": "demo", "pgha/kind": "node"}


def refused(code, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except APIException as error:
        assert error.code == code, f"{error} instead of {code}"
        assert error.correlation_id, "no correlation id"
    else:
        raise AssertionError(f"not refused: {code}")


def image_fields(client):
    """Exactly the fields of the recorded ones."""
    for shown in client._client.request(method="GET", url="/images")["images"]:
        assert sorted(shown) == IMAGE, f"{set(shown) ^ set(IMAGE)}"


def ground(client):
    """What a cluster stands on."""
    key = client.ssh_keys.create(name="demo-operator", public_key=KEY, labels=LABELS)
    assert key.fingerprint.count(":") == 15
    refused("uniqueness_error", client.ssh_keys.create, name="again", public_key=KEY)
    subnet = NetworkSubnet(ip_range="10.84.0.0/24", type="cloud", network_zone="eu-central")
    network = client.networks.create(name="demo", ip_range="10.84.0.0/24", subnets=[subnet], labels=LABELS)
    assert network.subnets[0].gateway == "10.84.0.1"
    refused("invalid_input", client.networks.create, name="small", ip_range="10.85.0.0/25")
    refused("invalid_input", client.networks.create, name="public", ip_range="8.8.8.0/24")
    rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["192.0.2.0/24"])
    firewall = client.firewalls.create(name="demo", rules=[rule], labels=LABELS).firewall
    group = client.placement_groups.create(name="demo", type="spread", labels=LABELS).placement_group
    return key, network, firewall, group


def server(client, name, key, firewall, group, volume, **options):
    """As pgha makes one: off, without a network, so that it can be given a fixed address."""
    made = client.servers.create(
        name=name,
        server_type=ServerType(name="cx23"),
        image=Image(name="debian-12"),
        location=Location(name="fsn1"),
        ssh_keys=[key],
        volumes=[volume],
        firewalls=[firewall],
        placement_group=group,
        user_data="seed",
        labels=LABELS,
        start_after_create=False,
        public_net=ServerCreatePublicNetwork(enable_ipv4=True, enable_ipv6=False),
        **options,
    )
    assert made.root_password is None, "a server with a key has no password"
    for action in [made.action, *made.next_actions]:
        action.wait_until_finished()
    made.server.reload()
    return made.server


def life(client, key, network, firewall, group):
    """A node from its volume to its rebuild."""
    made = client.volumes.create(name="demo-node-1-data", size=10, location=Location(name="fsn1"), labels=LABELS)
    made.action.wait_until_finished()
    volume = made.volume
    volume.reload()
    assert volume.status == "available" and volume.linux_device.endswith(str(volume.id))
    node = server(client, "demo-node-1", key, firewall, group, volume)
    assert node.status == "off" and node.volumes[0].id == volume.id and node.placement_group.id == group.id
    assert node.public_net.ipv4.ip and node.public_net.firewalls[0].firewall.id == firewall.id
    refused("resource_in_use", client.volumes.delete, volume)
    refused("resource_in_use", client.firewalls.delete, firewall)
    refused("ip_not_available", node.attach_to_network, network, ip="10.84.0.1")
    node.attach_to_network(network, ip="10.84.0.11").wait_until_finished()
    refused("server_already_attached", node.attach_to_network, network, ip="10.84.0.12")
    node.reload()
    assert node.private_net[0].ip == "10.84.0.11"
    starting = node.power_on()
    refused("locked", node.power_off)
    starting.wait_until_finished()
    return node, volume


def images(client, node, key):
    """Rescue, snapshot, rebuild."""
    rescue = node.enable_rescue(type="linux64", ssh_keys=[key.id])
    rescue.action.wait_until_finished()
    node.reload()
    assert node.rescue_enabled and rescue.root_password
    node.reset().wait_until_finished()
    node.reload()
    assert node.status == "running" and not node.rescue_enabled, "rescue is for one boot"
    node.power_off().wait_until_finished()
    snapshot = node.create_image(description="pgha", labels={"pgha/image": "a" * 40}, type="snapshot")
    assert snapshot.image.status == "creating"
    refused("locked", node.rebuild, snapshot.image)
    snapshot.action.wait_until_finished()
    found = client.images.get_all(type=["snapshot"], label_selector=f"pgha/image={'a' * 40}", architecture=["x86"])
    assert [image.id for image in found] == [snapshot.image.id]
    refused("invalid_input", snapshot.image.update, labels={"pgha/image": "a" * 64})
    rebuilt = node.rebuild(found[0], user_data="another seed")
    rebuilt.action.wait_until_finished()
    node.reload()
    assert node.image.id == snapshot.image.id and node.status == "running"
    return found[0]


def limits(client, node, key):
    """What a program must live with."""
    create = client.servers.create
    common = {"server_type": ServerType(name="cx23"), "image": Image(name="debian-12"), "ssh_keys": [key]}
    refused("uniqueness_error", create, name="demo-node-1", **common)
    refused("invalid_input", create, name="no_host", **common)
    refused("invalid_input", create, name="b", user_data="x" * 32769, **common)
    refused("invalid_input", create, name="b", location=Location(name="ash"), **common)
    refused("invalid_input", create, name="b", labels={"since": "2026-11-28T18:00:00Z"}, **common)
    refused("not_found", client.servers.get_by_id, 1)
    node.change_protection(delete=True, rebuild=True).wait_until_finished()
    refused("protected", node.delete)
    refused("protected", node.rebuild, Image(name="debian-12"))
    node.change_protection(delete=False, rebuild=False).wait_until_finished()
    refused("unauthorized", Client(token="wrong", api_endpoint=sys.argv[1]).servers.get_all)
    cheap = next(kind for kind in client.server_types.get_all() if kind.name == "cx23")
    assert cheap.disk == 40 and cheap.prices[0]["price_monthly"]["net"]


def pages(client):
    """More than a page of them, none twice."""
    for number in range(60):
        client.placement_groups.create(name=f"page-{number}", type="spread", labels={"page": "yes"})
    shown = client.placement_groups.get_list(label_selector="page", page=2, per_page=50)
    assert len(shown.placement_groups) == 10 and shown.meta.pagination.next_page is None
    every = client.placement_groups.get_all(label_selector="page in (yes, no)")
    assert len({group.id for group in every}) == 60
    for group in every:
        client.placement_groups.delete(group)


def end(client, node, volume, snapshot, ground):
    """Nothing is left, and what was attached was not deleted with its server."""
    key, network, firewall, group = ground
    node.delete().wait_until_finished()
    volume.reload()
    assert volume.server is None
    volume.resize(20).wait_until_finished()
    assert client.volumes.delete(volume) and client.images.delete(snapshot)
    assert client.firewalls.delete(firewall) and client.placement_groups.delete(group)
    assert client.networks.delete(network) and client.ssh_keys.delete(key)
    for kind in (client.servers, client.volumes, client.networks, client.firewalls, client.ssh_keys):
        assert kind.get_all(label_selector="pgha/cluster=demo") == []


client = Client(token=sys.argv[2], api_endpoint=sys.argv[1], poll_interval=0.02, timeout=5)
began = time.monotonic()
stands = ground(client)
node, volume = life(client, *stands)
snapshot = images(client, node, stands[0])
image_fields(client)
limits(client, node, stands[0])
pages(client)
end(client, node, volume, snapshot, stands)
try:
    client.actions.get_by_id(1)
except (APIException, ActionFailedException) as error:
    assert error.code == "not_found"
print(f"hcloud-python: a cluster's life in {time.monotonic() - began:.1f} s")
