"""A proxy for whoever wants one."""

from contextlib import ExitStack

import pytest

from support import ROTATIONS, running_proxy


@pytest.fixture
def start_proxy():
    """Starts proxies that end with the test: with settings that differ, and providers that misbehave."""
    with ExitStack() as running:

        def start(faults=None, **env):
            return running.enter_context(running_proxy(**(running.enter_context(faults).env if faults else {}), **env))

        yield start


@pytest.fixture
def proxy(start_proxy):
    return start_proxy()


@pytest.fixture(params=ROTATIONS)
def rotation(request, start_proxy):
    """A proxy, and how each of three requests in turn gets its answer."""
    env, trails = ROTATIONS[request.param]
    return start_proxy(**env), trails
