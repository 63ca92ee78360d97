"""The demo under a little traffic, beside it two instances that share, a Prometheus that scrapes all of them, and the
queries that people are given. See `run`."""

import contextlib
import json
import math
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEY = "client-key"
# How long anything may take that should take a moment.
PATIENCE_SECONDS = 60


def fetch(url, body=None, headers=None, timeout=PATIENCE_SECONDS):
    """Status and body, whatever the status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(what, is_so):
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        found = is_so()
        if found:
            return found
        time.sleep(0.2)
    sys.exit(f"waited too long for {what}")


def start_demo(program, directory):
    """The demo on a free port. A few requests may wait for the next minute of a plan; all others are refused."""
    variables = {"PORT": "0", "PROXY_API_KEY": KEY, "MAX_WAIT_MS": "60000", "MAX_WAITING_REQUESTS": "3"}
    log = open(directory / "demo.log", "w+")
    demo = subprocess.Popen([program, "demo"], cwd=directory, env=variables, stdout=log, stderr=log)
    pattern = re.compile(r"listening on (http://[\d.:]+)")
    found = wait_for("the demo", lambda: pattern.search((directory / "demo.log").read_text()))
    return demo, found.group(1)


def start_sharing(program, directory):
    """A Valkey or Redis server, and two instances that share through it. Their only provider does not answer."""
    names = ["valkey-server", "redis-server"]
    server = next(found for found in map(shutil.which, names) if found)
    socket_path = directory / "state"
    arguments = ["--port", "0", "--unixsocket", socket_path, "--save", "", "--dir", directory]
    yield subprocess.Popen([server, *arguments], stdout=subprocess.DEVNULL), None
    wait_for("the server", socket_path.exists)
    variables = {
        "PORT": "0",
        "PROXY_API_KEY": KEY,
        "STATE_FILE": "",
        "STATE_URL": f"unix://{socket_path}",
        "GROQ_API_KEY": "a-key",
        "GROQ_BASE_URL": "http://127.0.0.1:1",
    }
    for number in range(2):
        log_path = directory / f"instance{number}.log"
        log = open(log_path, "w+")
        instance = subprocess.Popen([program], cwd=directory, env=variables, stdout=log, stderr=log)
        found = re.compile(r"listening on (http://[\d.:]+)")
        address = wait_for("an instance", lambda: found.search(log_path.read_text()))
        yield instance, address.group(1)


def start_prometheus(addresses, directory):
    """A Prometheus with the settings of docs/metrics.md, but for the addresses, the key and the interval."""
    text = block("metrics.md", "yaml", "scrape_configs")
    targets = '", "'.join(address.removeprefix("http://") for address in addresses)
    interval = re.compile(r"scrape_interval: \S+")
    assert "127.0.0.1:3001" in text and "your-client-key" in text and interval.search(text), text
    text = text.replace("127.0.0.1:3001", targets).replace("your-client-key", KEY)
    settings = directory / "prometheus.yml"
    settings.write_text(interval.sub("scrape_interval: 1s", text))
    subprocess.run(["promtool", "check", "config", settings], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        "prometheus",
        f"--config.file={settings}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    prometheus = subprocess.Popen(arguments, cwd=directory)
    url = f"http://127.0.0.1:{port}"
    wait_for("the first scrape", lambda: newest(url, "ai_proxy_waiting_requests"))
    return prometheus, url


def block(name, language, word):
    """The only block of code in a document that is in this language and has this word."""
    text = (ROOT / "docs" / name).read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (found,) = [it for it in blocks if word in it]
    return found


def ask_prometheus(url, path, **parameters):
    try:
        status, body = fetch(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
    except OSError:  # It has only just been started.
        return None
    if status != 200:
        sys.exit(f"Prometheus does not answer {parameters}: {status} {body}")
    return json.loads(body)["data"]["result"]


def newest(url, query):
    return ask_prometheus(url, "query", query=query)


def traffic(address):
    """Some of everything: answers, all ways of asking, refusals, a client that leaves, and more than the limits take."""
    key = {"authorization": f"Bearer {KEY}"}
    question = {"messages": [{"role": "user", "content": "Hola"}]}

    def chat(**more):
        return fetch(f"{address}/chat", {**question, **more}, key)[0]

    def chat_impatiently():
        with contextlib.suppress(TimeoutError):
            statuses.append(fetch(f"{address}/chat", question, key, timeout=5)[0])

    assert fetch(f"{address}/chat", question)[0] == 401
    assert fetch(f"{address}/nothing", headers=key)[0] == 404
    assert fetch(f"{address}/metrics")[0] == 401
    time.sleep(2)
    for _ in range(3):
        assert chat() == 200
        assert chat(stream=False) == 200
        assert fetch(f"{address}/v1/chat/completions", {**question, "model": "auto"}, key)[0] == 200
    leave(address, question, key)
    # The limits of a minute are used up one after the other. Then three requests wait until their clients have enough of
    # it, and all others are refused.
    statuses = []
    crowd = [threading.Thread(target=chat_impatiently) for _ in range(40)]
    for client in crowd:
        client.start()
        time.sleep(0.05)
    for client in crowd:
        client.join()
    assert 200 in statuses and 429 in statuses, statuses


def leave(address, question, key):
    """Reads a little of an answer and goes."""
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps(question)
    lines = [f"{name}: {value}" for name, value in {**key, "content-length": len(body)}.items()]
    head = "\r\n".join(["POST /chat HTTP/1.1", "host: localhost", "content-type: application/json", *lines])
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"{head}\r\n\r\n{body}".encode())
        assert b"200 OK" in client.recv(64)


def queries():
    """Every query that people are given: where it stands, and its text."""
    dashboard = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "15s").replace("$instance", ".*")
            assert "$" not in query, query
            yield f"dashboard, {panel['title']}", query
    for variable in dashboard["templating"]["list"]:
        if label_values := re.fullmatch(r"label_values\((\w+), (\w+)\)", variable.get("definition", "")):
            yield "dashboard, instances", f"count by ({label_values[2]}) ({label_values[1]})"
    for name in ["metrics.md", "metrics.es.md", "several.md", "several.es.md"]:
        text = (ROOT / "docs" / name).read_text()
        found = re.findall(r"^ *```promql\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
        assert found, name
        for query in found:
            yield name, query.replace("[5m]", "[15s]").strip()


def check_form(text):
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    print(checked.stdout + checked.stderr, end="")
    if checked.returncode or checked.stdout or checked.stderr:
        sys.exit("promtool has something to say")
    print(f"promtool: {len(text.splitlines())} lines, nothing to say")


def check_queries(url, begin):
    failed = 0
    for place, query in queries():
        series = ask_prometheus(url, "query_range", query=query, start=begin, end=time.time(), step=1)
        values = [float(value) for its in series for _, value in its["values"]]
        numbers = [value for value in values if math.isfinite(value)]
        # Some of everything has happened, so everything that is shown was more than nothing at some time.
        is_good = any(value > 0 for value in numbers)
        failed += not is_good
        print(f"{'ok' if is_good else 'NO DATA':8} {len(series):3} series  {place}: {query}")
    return failed


def main(program):
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        begin = time.time()
        processes = []
        try:
            demo, address = start_demo(program, directory)
            processes.append(demo)
            addresses = [address]
            for process, its_address in start_sharing(program, directory):
                processes.append(process)
                addresses.extend(filter(None, [its_address]))
            prometheus, url = start_prometheus(addresses, directory)
            processes.append(prometheus)
            traffic(address)
            for address in [addresses[0], addresses[-1]]:
                check_form(fetch(f"{address}/metrics", headers={"x-api-key": KEY})[1])
            rules = directory / "rules.yml"
            for name in ["metrics.md", "metrics.es.md"]:
                rules.write_text(block(name, "yaml", "groups"))
                subprocess.run(["promtool", "check", "rules", rules], check=True)
            left = 'ai_proxy_requests_total{surface="chat",status="499"} > 0'
            wait_for("the last scrape", lambda: newest(url, left))
            wait_for("two that share", lambda: newest(url, "min(ai_proxy_sharing_instances) == 2 and sum(ai_proxy_sharing_up) == 2"))
            if failed := check_queries(url, begin):
                sys.exit(f"{failed} queries without data")
        finally:
            for process in processes:
                process.terminate()
                process.wait(PATIENCE_SECONDS)


main(sys.argv[1])
