"""llama.cpp's server and the proxy as processes, and how a client asks them. See `run`."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
PROGRAM = sys.argv[1]
# No variable of whoever runs this reaches the proxy, but for those about proxies.
PROXIES = {name: os.environ[name] for name in ["NO_PROXY", "no_proxy"]}
# How long anything may take that should take a moment.
PATIENCE_SECONDS = 60
QUESTION = [{"role": "user", "content": "Say hello."}]


class Reply:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def events(self):
        """The data of a stream, which must end as complete."""
        data = [line.removeprefix("data: ") for line in self.text.splitlines() if line.startswith("data: ")]
        assert data[-1] == "[DONE]", self.text
        return [json.loads(event) for event in data[:-1]]

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.text}"


def fetch(url, body=None, **headers):
    """The reply, whatever its status."""
    headers = {"content-type": "application/json", **{name.replace("_", "-"): it for name, it in headers.items()}}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return Reply(response.status, response.headers, response.read().decode())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.headers, error.read().decode())


def wait_for(what, is_so):
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if found := is_so():
                return found
        time.sleep(0.05)
    raise AssertionError(f"waited too long for {what}")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """llama.cpp's server, which can be stopped and started again at its address."""

    def __init__(self, directory, **settings):
        self.settings = {"port": free_port(), **settings}
        self.url = f"http://127.0.0.1:{self.settings['port']}"
        self.log = open(directory / f"server-{self.settings['port']}.log", "w+")

    def __enter__(self):
        self.begin()
        wait_for("llama.cpp's server", lambda: fetch(f"{self.url}/health").status == 200)
        return self

    def begin(self):
        command = [sys.executable, HERE / "llama_cpp.py", json.dumps(self.settings)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        self.process.stdin.close()

    def tokens_of_last_work(self):
        """How many tokens prompt and answer had when the server last stopped working."""
        ends = re.findall(r"stop processing: n_tokens = (\d+)", Path(self.log.name).read_text(errors="replace"))
        return int(ends[-1])

    def is_busy(self):
        return any(slot["is_processing"] for slot in fetch(f"{self.url}/slots").json)


class Proxy:
    """The program with these variables, in a directory of its own."""

    def __init__(self, directory, server, **variables):
        self.directory = Path(tempfile.mkdtemp(dir=directory))
        self.variables = {"LLAMACPP_BASE_URL": server.url, "PORT": "0", **variables}
        self.log = open(self.directory / "log", "w+")

    def __enter__(self):
        variables = {**PROXIES, **self.variables}
        run = {"cwd": self.directory, "env": variables, "stdout": self.log, "stderr": self.log}
        self.process = subprocess.Popen([PROGRAM], **run)
        pattern = re.compile(r"listening on (http://[\d.:]+)")
        self.url = wait_for("the proxy", lambda: pattern.search(self.told())).group(1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)

    def told(self):
        return (self.directory / "log").read_text()

    def knows_models(self):
        wait_for("the list of models", lambda: len(self.models()) > 2)
        return self

    def models(self):
        return [model["id"] for model in fetch(f"{self.url}/v1/models").json["data"]]

    def chat(self, messages=QUESTION, headers=None, **more):
        body = {"messages": messages, "temperature": 0, "max_tokens": 12, **more}
        return fetch(f"{self.url}/chat", body, **(headers or {}))

    def complete(self, messages=QUESTION, **more):
        body = {"messages": messages, "temperature": 0, "max_tokens": 12, **more}
        return fetch(f"{self.url}/v1/chat/completions", body)


def check(server, **variables):
    """What `ai-proxy-free check` says, and its exit code."""
    with tempfile.TemporaryDirectory() as directory:
        variables = {**PROXIES, "LLAMACPP_BASE_URL": server.url, **variables}
        done = subprocess.run([PROGRAM, "check"], cwd=directory, env=variables, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


def calling(arguments):
    """A conversation after which the model calls the tool with these arguments: repeating is all that it can do."""
    texts = ["<b>apples</b>", "<p>\npears\n</p>", '<note>\n{"name": "Ada"}\n</note>']
    messages = []
    for text in texts:
        messages.append({"role": "user", "content": f"Repeat:\n{text}"})
        messages.append({"role": "assistant", "content": text})
    call = json.dumps({"name": "get_weather", "arguments": arguments})
    return [*messages, {"role": "user", "content": f"Repeat:\n<tool_call>\n{call}\n</tool_call>"}]


def text_of(events):
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])
