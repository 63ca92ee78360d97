"""Row 94 of the fault table: whoever uploads too much sees why, also a client that looks for an answer only at the end."""

import json
import subprocess
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest
import requests

TOO_MANY = 30_000_000
PATHS = ["/chat", "/v1/chat/completions"]
HEADERS = {"content-type": "application/json"}


def in_pieces(size):
    """The upload as a client sends it that does not know its length."""
    return (b"x" * 65_536 for _ in range(size // 65_536))


def with_http_client(url, in_chunks):
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    body = in_pieces(TOO_MANY) if in_chunks else b"x" * TOO_MANY
    connection.request("POST", urlsplit(url).path, body, HEADERS, encode_chunked=in_chunks)
    response = connection.getresponse()
    return response.status, response.read()


def with_requests(url, in_chunks):
    with requests.Session() as session:
        session.trust_env = False
        body = in_pieces(TOO_MANY) if in_chunks else b"x" * TOO_MANY
        response = session.post(url, data=body, headers=HEADERS, timeout=30)
        return response.status_code, response.content


def with_httpx(url, in_chunks):
    body = in_pieces(TOO_MANY) if in_chunks else b"x" * TOO_MANY
    response = httpx.post(url, content=body, headers=HEADERS, timeout=30, trust_env=False)
    return response.status_code, response.content


def with_curl(url, in_chunks, *options):
    framing = ["-H", "transfer-encoding: chunked"] if in_chunks else []
    command = ["curl", "--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--write-out", "\n%{http_code}"]
    command += ["-H", "content-type: application/json", *framing, *options, "--data-binary", "@-", url]
    done = subprocess.run(command, input=b"x" * TOO_MANY, capture_output=True, check=True)
    body, status = done.stdout.rsplit(b"\n", 1)
    return int(status), body


def with_curl_that_does_not_ask(url, in_chunks):
    """Without asking first whether anybody wants it."""
    return with_curl(url, in_chunks, "-H", "expect:")


CLIENTS = [with_http_client, with_requests, with_httpx, with_curl, with_curl_that_does_not_ask]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("in_chunks", [False, True], ids=["announced", "in chunks"])
@pytest.mark.parametrize("path", PATHS)
def test_row_094_an_upload_that_is_too_large_is_told_so(proxy, client, in_chunks, path):
    for _ in range(3):
        status, body = client(proxy + path, in_chunks)
        assert status == 413
        error = json.loads(body)["error"]
        assert "MAX_BODY_BYTES" in (error if path == "/chat" else error["message"])
    question = {"messages": [{"role": "user", "content": "Hi"}], "stream": False}
    assert requests.post(proxy + path, json=question, timeout=30).status_code == 200
