"""Stand-ins for the base images that the Dockerfile and docker-compose.yml name, made of what this machine has.

Where no registry of images can be reached: Debian by debootstrap, this machine's Rust toolchain with the crates that
the lock file names, its Node with the packages of the page, the pinned nats-server, Debian's HAProxy. They carry the names of the real ones, so that the files
are proved as they are.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from engine import run, say

SUITE = "bookworm"
BASE, RUST, NATS, HAPROXY = "debian:bookworm-slim", "rust:1.95-slim-bookworm", "nats:2.12-alpine", "haproxy:lts-alpine"
NODE = "node:22-bookworm-slim"

PAGE = "clients/dashboard"


def make(engine, nats_server: Path):
    """Makes those that the engine does not have."""
    work = engine.folder / "images"
    work.mkdir(exist_ok=True)
    recipes = {
        BASE: (["ca-certificates"], None, []),
        RUST: (["ca-certificates", "gcc", "libc6-dev"], toolchain(engine.root), [
            "ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "ENV CARGO_HOME=/usr/local/cargo", "ENV CARGO_NET_OFFLINE=true"]),
        NODE: (["ca-certificates", "libstdc++6"], node(engine.root, work / "npm"), [
            "ENV npm_config_cache=/usr/local/npm-cache", "ENV npm_config_offline=true"]),
        # The health check asks with wget; `command:` in the compose file are arguments of the server.
        NATS: (["wget"], binary(nats_server, "nats-server"), ['ENTRYPOINT ["/usr/local/bin/nats-server"]']),
        HAPROXY: (["haproxy", "wget"], None, [
            "USER haproxy", 'ENTRYPOINT ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]']),
    }
    for name, (packages, fill, changes) in recipes.items():
        # The crates and the packages in an image are those of one lock file.
        lock = {RUST: "Cargo.lock", NODE: PAGE + "/package-lock.json"}.get(name)
        made_of = hashlib.sha256((engine.root / lock).read_bytes()).hexdigest() if lock else "Debian"
        stamp = work / f"{name.replace(':', '-')}.made"
        is_there = engine.docker("image", "inspect", name, check=False).returncode == 0
        if is_there and stamp.exists() and stamp.read_text() == made_of:
            continue
        say(f"a stand-in for {name}")
        root = work / name.replace(":", "-")
        shutil.rmtree(root, ignore_errors=True)
        debian(root, packages, work / "packages")
        if fill:
            fill(root)
        load(engine, root, name, changes)
        shutil.rmtree(root)
        stamp.write_text(made_of)


def debian(root, packages, cache):
    cache.mkdir(exist_ok=True)
    with open(root.parent / f"{root.name}.log", "wb") as log:
        run(["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", f"--cache-dir={cache.resolve()}",
             SUITE, root, mirror()], stdout=log, stderr=log)
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
    shutil.rmtree(root / "usr/share/doc", ignore_errors=True)


def mirror():
    """Where this machine has its own packages from."""
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"],
                          check=True, capture_output=True, text=True).stdout
    return next(line.split()[0] for line in said.splitlines() if line.split()[1] == SUITE)


def load(engine, root, name, changes):
    changes = [word for change in changes for word in ("--change", change)]
    tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    engine.docker("import", *changes, "-", name, stdin=tar.stdout)
    if tar.wait() != 0:
        raise RuntimeError(f"tar failed on {root}")


def binary(path, name):
    def fill(root):
        shutil.copy2(path, root / "usr/local/bin" / name)
    return fill


def toolchain(repository):
    def fill(root):
        said = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True,
                              cwd=repository)
        sysroot = Path(said.stdout.strip())
        there = root / "usr/local/rust"
        for part in ("bin", "lib"):
            shutil.copytree(sysroot / part, there / part, symlinks=True,
                            ignore=shutil.ignore_patterns("src", "*.a.debug"))
        run(["cargo", "fetch", "--locked", "--quiet"], cwd=repository)
        home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
        for part in ("index", "cache"):
            shutil.copytree(home / "registry" / part, root / "usr/local/cargo/registry" / part)
    return fill


def node(repository, cache):
    def fill(root):
        there = root / "usr/local"
        shutil.copy2(os.path.realpath(shutil.which("node")), there / "bin/node")
        npm = Path(os.path.realpath(shutil.which("npm"))).parent.parent
        shutil.copytree(npm, there / "lib/node_modules/npm", symlinks=True)
        (there / "bin/npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
        # What an installation takes from the network stands in the cache afterwards.
        place = cache / "page"
        shutil.rmtree(cache, ignore_errors=True)
        place.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy2(repository / PAGE / name, place / name)
        run(["npm", "ci", "--silent", "--cache", str((cache / "kept").resolve())], cwd=place)
        shutil.copytree(cache / "kept", there / "npm-cache")
    return fill
