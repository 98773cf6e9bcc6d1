"""A container engine of one's own: Debian's dockerd in a network namespace, with all that it keeps below one folder.

Nothing of it reaches another network: the namespace has a loopback and the bridges that the engine makes, no more. The
containers of a test see each other and nothing else, and its clients enter the same namespace.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMESPACE = "oddswire-engine"
# Other clients of the same name may come first on PATH; these two belong together.
DOCKER = "/usr/bin/docker"
COMPOSE = "/usr/bin/docker-compose"
# An engine that does not answer any more must not hold the verdict up. The longest command builds the image.
COMMAND_WITHIN_S = 60 * 60
PACKAGES = ["docker.io", "docker-compose", "debootstrap", "iproute2", "iptables"]


class Engine:
    """Started on entry, ended on exit, by the id of the process that was started."""

    def __init__(self, folder: Path, root: Path):
        self.folder = folder
        self.root = root
        self.socket = folder / "docker.sock"
        self.dockerd = None

    def __enter__(self):
        install()
        self.folder.mkdir(parents=True, exist_ok=True)
        for left_over in ("dockerd.pid", "docker.sock"):
            (self.folder / left_over).unlink(missing_ok=True)
        say("an engine of our own, in a network namespace of its own")
        if not Path("/run/netns", NAMESPACE).exists():
            run(["ip", "netns", "add", NAMESPACE])
        run([*inside(), "ip", "link", "set", "lo", "up"])
        log = open(self.folder / "dockerd.log", "wb")
        # Not `ip netns exec`: that hides the control groups, which an engine needs.
        command = [
            *inside(), "dockerd", "--data-root", self.folder / "data", "--exec-root", self.folder / "run",
            "--pidfile", self.folder / "dockerd.pid", "--host", f"unix://{self.socket}",
        ]
        self.dockerd = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until("the engine answers", lambda: self.docker("version", check=False).returncode == 0, 60)
        return self

    def __exit__(self, *_):
        self.dockerd.terminate()
        try:
            self.dockerd.wait(60)
        except subprocess.TimeoutExpired:
            self.dockerd.kill()
            self.dockerd.wait()
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False)

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_"))}
        return {
            **kept,
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
            "PATH": "/usr/bin:" + kept.get("PATH", ""),
            **more,
        }

    def docker(self, *words, check=True, **options):
        options.setdefault("capture_output", True)
        options.setdefault("timeout", COMMAND_WITHIN_S)
        return subprocess.run([DOCKER, *map(str, words)], check=check, text=True, cwd=self.root,
                              env=self.environment(), **options)

    def compose(self, *words, check=True, environment=None, files=(), **options):
        options.setdefault("timeout", COMMAND_WITHIN_S)
        files = [word for file in files for word in ("--file", str(file))]
        command = [COMPOSE, "--project-name", "oddswire", *files, *map(str, words)]
        return subprocess.run(command, check=check, text=True, cwd=self.root,
                              env=self.environment(**(environment or {})), **options)

    def containers(self, service):
        """The ids of the running containers of a service, oldest first."""
        said = self.docker("ps", "--no-trunc", "--quiet", "--filter", f"label=com.docker.compose.service={service}",
                           "--filter", "label=com.docker.compose.project=oddswire").stdout.split()
        return list(reversed(said))


def inside():
    """What runs a command in the engine's network."""
    return ["nsenter", f"--net=/run/netns/{NAMESPACE}"]


def install():
    """Debian's engine, where it is not here yet."""
    programs = ["/usr/sbin/dockerd", DOCKER, COMPOSE, "/usr/sbin/debootstrap"]
    if all(map(os.path.exists, programs)) and shutil.which("ip") and shutil.which("iptables"):
        return
    if os.geteuid() != 0:
        sys.exit("the engine is started as root")
    say("apt-get: installing " + " ".join(PACKAGES))
    run(["apt-get", "update", "-qq"])
    run(["apt-get", "install", "--yes", "-qq", "--no-install-recommends", *PACKAGES],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdout=subprocess.DEVNULL)


def run(command, **options):
    subprocess.run(list(map(str, command)), check=True, **options)


def until(what, holds, seconds):
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.2)


STARTED = time.monotonic()


def say(what):
    print(f"[{time.monotonic() - STARTED:6.1f} s] {what}", flush=True)
