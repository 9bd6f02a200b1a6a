"""Drivers and frameworks, as an application has them: through the poolers (ports 5000 and 5001), and past them (5010).

usage: apps.py ADDRESS,ADDRESS... DIRECTORY COMMAND...     PGPASSWORD is that of the role and database app. COMMAND hands the leadership over.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time

import asyncpg
import django
import psycopg
from django.conf import settings

addresses, directory, *switchover = sys.argv[1:]
address, *others = addresses.split(",")
password = os.environ["PGPASSWORD"]


def connect(port, host=address, **more):
    dsn = f"host={host} port={port} user=app dbname=app sslmode=require connect_timeout=5"
    return psycopg.connect(dsn, autocommit=True, **more)


def prepared_statements_and_an_idle_client_outlive_a_switchover():
    query = "select count(*) from pg_class where relkind = %s"
    with connect(5000, prepare_threshold=0) as client:
        before = [client.execute(query, ("r",)).fetchone() for _ in range(3)]
        subprocess.run(switchover, check=True, capture_output=True)
        assert [client.execute(query, ("r",)).fetchone() for _ in range(3)] == before


def balanced(port):
    """A load balancer that knows nothing but TCP: each connection goes to the next node. Gives its own port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source, target):
        with contextlib.suppress(OSError):  # one of the two has gone
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve():
        for node in itertools.cycle([address, *others]):
            client, server = listener.accept()[0], socket.create_connection((node, port))
            for pair in (client, server), (server, client):
                threading.Thread(target=pass_on, args=pair, daemon=True).start()

    # A process of its own: whoever asks to cancel holds the interpreter until there is an answer.
    multiprocessing.Process(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def a_cancel_request_arrives(port, requests=1, host=address):
    for _ in range(4):
        with connect(port, host) as client:
            timers = [threading.Timer(0.5 + 0.3 * number, client.cancel) for number in range(requests)]
            for timer in timers:
                timer.start()
            began = time.monotonic()
            try:
                client.execute("select pg_sleep(20)")
            except psycopg.errors.QueryCanceled:
                pass
            assert time.monotonic() - began < 10, f"port {port}: the cancel request got lost"
            for timer in timers:
                timer.cancel()


def rows_are_copied():
    with connect(5000) as client:
        client.execute("create table copied (i int, t text)")
        with client.cursor() as cursor:
            with cursor.copy("copy copied from stdin") as copy:
                for number in range(10_000):
                    copy.write_row((number, "text"))
            with cursor.copy("copy copied to stdout") as copy:
                assert sum(1 for _ in copy.rows()) == 10_000


def past_the_poolers_who_listens_hears_and_locks_hold():
    with connect(5010) as listener, connect(5010) as locker, connect(5000) as client:
        listener.execute("listen news")
        locker.execute("select pg_advisory_lock(7)")
        client.execute("notify news, 'heard'")
        assert [news.payload for news in listener.notifies(timeout=5, stop_after=1)] == ["heard"]
        assert client.execute("select pg_try_advisory_lock(7)").fetchone() == (False,)


def two_hundred_clients_work_at_once():
    clients = [connect(5000) for _ in range(200)]
    workers = [threading.Thread(target=client.execute, args=("select pg_sleep(0.1)",)) for client in clients]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"  200 clients, 0.1 s of work each: {time.monotonic() - began:.1f} s")
    for client in clients:
        assert client.execute("select 1").fetchone() == (1,)
        client.close()


def asyncpg_keeps_its_statements_and_is_told_what_it_cannot_have():
    server = {"host": address, "port": 5000, "user": "app", "database": "app", "ssl": "require"}

    async def work():
        async with asyncpg.create_pool(**server, min_size=20, max_size=20) as pool:
            rows = await asyncio.gather(*(pool.fetchval("select $1::int + 1", number) for number in range(400)))
            assert rows == list(range(1, 401))
        try:
            await asyncpg.connect(**server, server_settings={"search_path": "other"})
        except asyncpg.PostgresError as error:
            assert "unsupported startup parameter: search_path" in str(error), error
        else:
            raise AssertionError("search_path was dropped without a word")

    asyncio.run(work())


def django_migrates_directly_and_works_through_the_pooler():
    def database(port):
        return {
            "ENGINE": "django.db.backends.postgresql", "HOST": address, "PORT": port, "NAME": "app", "USER": "app", "PASSWORD": password,
            "OPTIONS": {"sslmode": "require"}, "DISABLE_SERVER_SIDE_CURSORS": port == 5000,
        }  # fmt: skip

    apps = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
    settings.configure(DATABASES={"default": database(5000), "direct": database(5010)}, INSTALLED_APPS=apps, USE_TZ=True)
    django.setup()
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", database="direct", verbosity=0)
    with transaction.atomic():
        group = Group.objects.create(name="readers")
        group.user_set.add(*(User.objects.create(username=f"user-{number}") for number in range(20)))
        assert Group.objects.select_for_update().get(name="readers").user_set.count() == 20
    assert sum(1 for _ in User.objects.iterator(chunk_size=3)) == 20
    call_command("migrate", "sessions", "zero", database="default", verbosity=0)


def alembic_migrates():
    def alembic(*arguments):
        subprocess.run([sys.executable, "-m", "alembic", *arguments], check=True, capture_output=True, cwd=directory)

    url = f"postgresql+psycopg://app:{password}@{address}:5010/app?sslmode=require"
    alembic("init", "migrations")
    ini = os.path.join(directory, "alembic.ini")
    with open(ini) as file:
        text = file.read().replace("driver://user:pass@localhost/dbname", url)
    with open(ini, "w") as file:
        file.write(text)
    alembic("revision", "-m", "first", "--rev-id", "1")
    [revision] = [name for name in os.listdir(f"{directory}/migrations/versions") if name.endswith(".py")]
    with open(f"{directory}/migrations/versions/{revision}", "a") as file:
        file.write('\n\ndef upgrade():\n    op.create_table("migrated", sa.Column("id", sa.Integer, primary_key=True))\n')
    alembic("upgrade", "head")
    with connect(5000) as client:
        assert client.execute("select count(*) from migrated").fetchone() == (0,)
    alembic("upgrade", "head")


# Behind a pooler each connection goes to the next replica, also one that brings a cancel request. Before the switchover: it cuts those who
# read from the replica that then leads.
a_cancel_request_arrives(5001, requests=8)
prepared_statements_and_an_idle_client_outlive_a_switchover()
a_cancel_request_arrives(5000)
a_cancel_request_arrives(5010)
a_cancel_request_arrives(5011)
a_cancel_request_arrives(balanced(5000), host="127.0.0.1")
rows_are_copied()
past_the_poolers_who_listens_hears_and_locks_hold()
two_hundred_clients_work_at_once()
asyncpg_keeps_its_statements_and_is_told_what_it_cannot_have()
django_migrates_directly_and_works_through_the_pooler()
alembic_migrates()
