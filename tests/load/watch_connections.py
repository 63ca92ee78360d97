"""Watches how a server gets on with an attack: how long its connections live, and how soon it answers /health.

    watch_connections.py NAME PID PORT CLOCK_SECONDS COMMAND...

COMMAND attacks. Looks at the sockets that the server's process itself holds. Ends when those of the attack are gone; the
exit code says whether that was in time.
"""

import multiprocessing
import os
import socket
import subprocess
import sys
import time

CONNECTIONS = 400
SLACK_SECONDS = 1.0
HEALTH_BOUND_MS = 50.0
# On a machine that is busy with other things, more: this many times what a bare server takes meanwhile, which has one
# thread to wake where the proxy has several.
HEALTH_FACTOR = 5
PATIENCE_SECONDS = 30.0
# What lives no longer has asked for /health.
MOMENT_SECONDS = 1.0


def health_ms(port):
    """Asks for /health on a new connection; gives the time that takes."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 OK"), answer
    return (time.monotonic() - begun) * 1000


def sockets(pid):
    """The sockets among the descriptors of the process, by names that do not come again."""
    names = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            name = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except FileNotFoundError:
            continue
        if name.startswith("socket:"):
            names.add(name)
    return names


def bare_server(listener):
    """Answers everything at once; nobody attacks it. How long that takes is the machine's doing."""
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


def percentile(times, share):
    return sorted(times)[int(len(times) * share)]


def main(name, pid, port, clock_seconds, command):
    bound = clock_seconds + SLACK_SECONDS
    listener = socket.create_server(("127.0.0.1", 0))
    multiprocessing.Process(target=bare_server, args=(listener,), daemon=True).start()
    own = sockets(pid)
    attack = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = last_look = time.monotonic()
    first_seen, lives, times, bare_times = {}, {}, [], []
    while True:
        now = time.monotonic()
        open_now = sockets(pid) - own
        for connection in open_now:
            # It may have come right after the last look.
            lives[connection] = now - first_seen.setdefault(connection, last_look)
        last_look = now
        attacking = sum(life > MOMENT_SECONDS for life in lives.values())
        if attacking >= CONNECTIONS and not open_now or now - begun > PATIENCE_SECONDS:
            break
        times.append(health_ms(port))
        bare_times.append(health_ms(listener.getsockname()[1]))
        time.sleep(0.01)
    attack.terminate()
    attack.wait()
    p50_ms, p99_ms, bare_ms = percentile(times, 0.5), percentile(times, 0.99), percentile(bare_times, 0.99)
    health_bound_ms = max(HEALTH_BOUND_MS, HEALTH_FACTOR * bare_ms)
    health = f"/health p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms of {len(times)}"
    longest = max(lives.values(), default=0.0)
    verdicts = [
        (f"connections {attacking}", attacking >= CONNECTIONS),
        (f"left at the end {len(open_now)}", not open_now),
        (f"longest life {longest:.2f} s (bound {bound:.1f} s)", longest <= bound),
        (f"{health} (bound {health_bound_ms:.0f} ms; bare server {bare_ms:.1f} ms)", p99_ms < health_bound_ms),
    ]
    for text, is_ok in verdicts:
        print(f"{name}: {text}: {'ok' if is_ok else 'NOT OK'}", flush=True)
    return 0 if all(is_ok for _, is_ok in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:]))
