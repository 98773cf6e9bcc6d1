#!/usr/bin/env python3
"""Holds deploy/kubernetes against Kubernetes' own schemas, strictly, and against what its README promises.

Ends with 0, or with 1 and a sentence for each fault.
"""

import importlib.util
import json
import sys
from pathlib import Path

import fastjsonschema
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
# A release from before our time, and the newest that the schemas know.
RELEASES = ["1.29.0", "1.37.0"]


def main():
    manifests = [
        (path.name, manifest)
        for path in sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
        for manifest in YAML(typ="safe", pure=True).load_all(path)
    ]
    faults = [fault for release in RELEASES for fault in against_schemas(manifests, release)]
    faults += promises([manifest for _, manifest in manifests])
    # The control: a schema that lets this pass checks nothing.
    broken = json.loads(json.dumps(find([m for _, m in manifests], "Deployment", "oddswire-gateway")))
    broken["spec"]["template"]["spec"]["terminationGracePeriod"] = 75
    if not list(against_schemas([("control", broken)], RELEASES[-1])):
        faults.append("an unknown key passes the schemas, so they check nothing")
    for fault in faults:
        print(f"  {fault}")
    print(f"{len(manifests)} manifests, Kubernetes {' and '.join(RELEASES)}: {len(faults)} faults")
    sys.exit(bool(faults))


def against_schemas(manifests, release):
    # The package is used for the schemas that it carries; its code wants more than we have.
    package = Path(importlib.util.find_spec("kubernetes_validate").submodule_search_locations[0])
    folder = package / "kubernetes-json-schema" / f"v{release}-local-strict"
    compiled = {}
    for file, manifest in manifests:
        group, _, version = manifest["apiVersion"].rpartition("/")
        parts = [manifest["kind"].lower(), *([group.split(".")[0]] if group else []), version]
        name = "-".join(parts) + ".json"
        if not (folder / name).exists():
            yield f"{file}: Kubernetes {release} has no {manifest['kind']} in {manifest['apiVersion']}"
            continue
        if name not in compiled:
            compiled[name] = fastjsonschema.compile(whole(folder, name), use_default=False)
        try:
            compiled[name](manifest)
        except fastjsonschema.JsonSchemaException as error:
            yield f"{file}: {manifest['kind']} of Kubernetes {release}: {error}"


def whole(folder, name):
    """A schema, with those of the common definitions that it reaches as its own."""
    common = json.loads((folder / "_definitions.json").read_text())
    common = common.get("$defs") or common["definitions"]
    definitions = {}

    def take(node):
        if isinstance(node, list):
            return [take(one) for one in node]
        if not isinstance(node, dict):
            return node
        if isinstance(reference := node.get("$ref"), str):
            other = reference.rsplit("/", 1)[-1]
            if other not in definitions:
                definitions[other] = None
                definitions[other] = take(common[other])
            return {"$ref": f"#/definitions/{other}"}
        # What a format means is not in the schemas, and a default would be put in.
        return {key: take(value) for key, value in node.items() if key not in ("format", "$schema", "default")}

    schema = take(json.loads((folder / name).read_text()))
    return {**schema, "definitions": definitions, "$schema": "http://json-schema.org/draft-07/schema#"}


def promises(manifests):
    """What the README says, and no schema knows."""
    pods = [m["spec"]["template"]["spec"] for m in manifests if m["kind"] in ("Deployment", "Job")]
    for pod in pods:
        if not pod["securityContext"].get("runAsNonRoot") or pod["automountServiceAccountToken"]:
            yield "a pod runs as root, or is given a key to the cluster"
        for container in pod["containers"]:
            security = container["securityContext"]
            if not security["readOnlyRootFilesystem"] or security["allowPrivilegeEscalation"]:
                yield f"{container['name']} may write or gain privileges"
            if security["capabilities"]["drop"] != ["ALL"]:
                yield f"{container['name']} keeps capabilities"
            keys = [one["valueFrom"]["secretKeyRef"]["key"] for one in container["env"] if one["name"] == "ODDSWIRE_NATS_NKEY"]
            if keys != [f"{container['name']}.nk"]:
                yield f"{container['name']} comes to the bus as {keys}"
            if "memory" not in container["resources"]["limits"]:
                yield f"{container['name']} has no bound on memory"
    for name in ("oddswire-gateway", "oddswire-scraper"):
        container = find(manifests, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
        ready, alive = (container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe"))
        if (ready, alive) != ("/readyz", "/livez"):
            yield f"{name}: readiness asks {ready} and liveness {alive}"
        find(manifests, "PodDisruptionBudget", name)
    gateway = find(manifests, "Deployment", "oddswire-gateway")["spec"]["template"]["spec"]
    told = {one["name"]: one.get("value") for one in gateway["containers"][0]["env"]}
    grace_s = int(told["ODDSWIRE_GRACE_MS"]) / 1000
    if gateway["terminationGracePeriodSeconds"] <= grace_s:
        yield f"a gateway needs {grace_s} s to drain, and is killed before"
    scaler = find(manifests, "HorizontalPodAutoscaler", "oddswire-gateway")
    metric = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    source = (ROOT / "services/gateway/src/metrics.rs").read_text()
    if metric != "oddswire_gateway_sessions" or '"sessions"' not in source:
        yield f"gateways are scaled on {metric}, which they do not have"
    yield from network(manifests, told)
    if "replicas" in find(manifests, "Deployment", "oddswire-gateway")["spec"]:
        yield "the number of gateways is set twice: by the deployment and by its scaler"


# Who may come to a port, by the namespace or the label of the peer; nobody else may.
DOORS = {
    "oddswire-gateway": {"clients": {"ingress-nginx"}, "operators": {"monitoring"}},
    "oddswire-scraper": {"operators": {"monitoring"}},
    "oddswire-provision": {},
    "oddswire-nats": {4222: {"oddswire", "nats"}, 6222: {"nats"}, 7777: {"monitoring"}, 8222: {"monitoring"}},
}


def network(manifests, told):
    """Clients behind the ingress count as themselves, and nobody who is not named reaches a port."""
    if not told.get("ODDSWIRE_TRUST_PROXY"):
        yield "gateways trust no proxy, so all clients behind an ingress are one address"
    if "ODDSWIRE_INSECURE_NO_AUTH" in told:
        yield "gateways ask nobody for a token"
    for name, doors in DOORS.items():
        spec = find(manifests, "NetworkPolicy", name)["spec"]
        if "Ingress" not in spec["policyTypes"]:
            yield f"{name}: a policy that lets everybody in"
        seen = {}
        for rule in spec.get("ingress", []):
            peers = {peer_of(one) for one in rule.get("from", [{}])}
            for port in rule.get("ports", [{}]):
                seen.setdefault(port.get("port"), set()).update(peers)
        if seen != doors:
            yield f"{name} is reached by {seen}, not by {doors}"
    policies = [m["spec"]["podSelector"]["matchLabels"] for m in manifests if m["kind"] == "NetworkPolicy"]
    for workload in (m for m in manifests if m["kind"] in ("Deployment", "Job")):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        if not any(policy.items() <= labels.items() for policy in policies):
            yield f"no policy selects the pods of {workload['metadata']['name']}"
        if labels.get("app.kubernetes.io/part-of") != "oddswire":
            yield f"the bus does not let in the pods of {workload['metadata']['name']}"
    backend = find(manifests, "Ingress", "oddswire-gateway")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    ports = {port["name"] for port in find(manifests, "Service", backend["name"])["spec"]["ports"]}
    if backend["port"]["name"] not in ports:
        yield f"the ingress leads to {backend}, which is not there"


def peer_of(peer):
    """The one label that a peer is known by; everybody without one."""
    selector = peer.get("namespaceSelector") or peer.get("podSelector") or {}
    return next(iter(selector.get("matchLabels", {}).values()), "everybody")


def find(manifests, kind, name):
    return next(m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name)


if __name__ == "__main__":
    main()
