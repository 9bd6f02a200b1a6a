"""Clients that write one row after the other, each through one session that it never opens again, until a file appears.

usage: held.py FILE ADDRESS...     PGPASSWORD is that of the role and database app. Prints what they saw, as JSON.
"""

import json
import os
import sys
import threading
import time

import psycopg

end, *addresses = sys.argv[1:]
acknowledged, longest, cut = [], [], []


def write(client, connection):
    count, wait = 0, 0.0
    try:
        while not os.path.exists(end):
            began = time.monotonic()
            connection.execute("insert into held values (%s)", (client,))
            wait = max(wait, time.monotonic() - began)
            count += 1
            time.sleep(0.01)
    except psycopg.Error as error:
        cut.append(f"client {client}: {error}")
    acknowledged.append(count)
    longest.append(wait)


dsn = "host={} port=5000 user=app dbname=app sslmode=require"
connections = [psycopg.connect(dsn.format(address), autocommit=True) for address in addresses for _ in range(8)]
threads = [threading.Thread(target=write, args=arguments) for arguments in enumerate(connections)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"acknowledged": sum(acknowledged), "longest": max(longest), "cut": cut}))
