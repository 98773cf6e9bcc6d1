//! What must hold of every service of docker-compose.yml.

use super::Faults;
use serde_json::{Map, Value};

/// The one service with a port on the machine.
const ENTRANCE: &str = "lb";
/// The one service that sees every role's key.
const KEY_MAKER: &str = "keys";
/// How volumes with a key are called.
const KEY_VOLUME: &str = "key-";
/// Who serves clients, behind the entrance.
const SERVER: &str = "gateway";

/// Every broken rule of every service.
pub(super) fn check(compose: &Value) -> Faults {
    let mut faults = Faults::new();
    for key in ["version", "name"] {
        if compose.get(key).is_some() {
            faults.push(format!(
                "the top-level key `{key}` is understood by only one of compose 1.29 and v2"
            ));
        }
    }
    let Some(services) = compose["services"].as_object() else {
        return vec!["there are no services".to_owned()];
    };
    for (name, service) in services {
        let say = |what: &str| format!("service {name} {what}");
        faults.extend(naming(name, service).into_iter().map(|what| say(&what)));
        faults.extend(life(name, service, services).into_iter().map(|what| say(&what)));
        faults.extend(hardening(service).into_iter().map(|what| say(&what)));
        faults.extend(own_key(name, service).into_iter().map(|what| say(&what)));
    }
    faults.extend(entrance(&services[ENTRANCE], &services[SERVER]));
    faults
}

/// Where nobody needs a token the entrance is this machine's, and nobody but the entrance is believed about clients.
fn entrance(entrance: &Value, server: &Value) -> Faults {
    let mut faults = Faults::new();
    let told = |name: &str| server["environment"][name].as_str().unwrap_or_default();
    let is_open = told("ODDSWIRE_INSECURE_NO_AUTH") == "true";
    for port in list(&entrance["ports"]) {
        if is_open && !as_shipped(&port).starts_with("127.0.0.1:") {
            faults.push(format!(
                "{ENTRANCE} publishes {port:?} to every network, and {SERVER} asks nobody for a token"
            ));
        }
    }
    let networks = entrance["networks"].as_object().into_iter().flatten();
    let own: Vec<String> = networks
        .filter_map(|(_, network)| Some(format!("{}/32", as_shipped(network["ipv4_address"].as_str()?))))
        .collect();
    if own != [as_shipped(told("ODDSWIRE_TRUST_PROXY"))] {
        faults.push(format!(
            "{SERVER} has to trust the address of {ENTRANCE}, {own:?}, and nothing else"
        ));
    }
    faults
}

/// A value with the defaults of its variables: `${NAME:-default}`.
fn as_shipped(value: &str) -> String {
    let mut parts = value.split("${");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').unwrap_or((part, ""));
        shown.push_str(variable.split_once(":-").map_or("", |(_, default)| default));
        shown.push_str(rest);
    }
    shown
}

/// Files that a service mounts from the repository and that are not there.
pub(super) fn missing_mounts(compose: &Value, exists: &dyn Fn(&str) -> bool) -> Faults {
    let services = compose["services"].as_object().into_iter().flatten();
    services
        .flat_map(|(name, service)| {
            list(&service["volumes"])
                .into_iter()
                .map(move |volume| (name, volume))
        })
        .filter_map(|(name, volume)| {
            let path = volume.split(':').next()?.strip_prefix("./")?;
            if !volume.ends_with(":ro") {
                return Some(format!(
                    "service {name} may write into ./{path}: mount it with :ro"
                ));
            }
            (!exists(path)).then(|| format!("service {name} mounts ./{path}, which does not exist"))
        })
        .collect()
}

fn naming(name: &str, service: &Value) -> Faults {
    let mut faults = Faults::new();
    let image = service["image"].as_str().unwrap_or_default();
    if !super::dockerfile::is_pinned(image) {
        faults.push(format!("has the image {image:?}: name a version"));
    }
    if service.get("container_name").is_some() {
        faults.push("has a container_name, so it cannot be scaled".to_owned());
    }
    if (name == ENTRANCE) != service.get("ports").is_some() {
        faults.push(format!(
            "breaks the rule that {ENTRANCE}, and only {ENTRANCE}, publishes ports"
        ));
    }
    faults
}

fn life(name: &str, service: &Value, services: &Map<String, Value>) -> Faults {
    let mut faults = Faults::new();
    let restart = service["restart"].as_str().unwrap_or_default();
    if is_one_shot(name, services) {
        if restart != "no" {
            faults.push("runs once, so its restart must be \"no\"".to_owned());
        }
    } else {
        if restart != "unless-stopped" {
            faults.push("has no `restart: unless-stopped`".to_owned());
        }
        if list(&service["healthcheck"]["test"]).first().map(String::as_str) != Some("CMD") {
            faults.push("has no health check in exec form".to_owned());
        }
    }
    for (other, condition) in service["depends_on"].as_object().into_iter().flatten() {
        let waits_for_health = condition["condition"] == "service_healthy";
        match services.get(other) {
            None => faults.push(format!("depends on {other}, which does not exist")),
            Some(other_service) if waits_for_health && other_service.get("healthcheck").is_none() => {
                faults.push(format!(
                    "waits for the health of {other}, which has no health check"
                ));
            }
            Some(_) => {}
        }
    }
    faults
}

/// Somebody waits for its end.
fn is_one_shot(name: &str, services: &Map<String, Value>) -> bool {
    services
        .values()
        .any(|service| service["depends_on"][name]["condition"] == "service_completed_successfully")
}

/// Who talks to the bus has the key of its role, can read no other one, and can change none.
fn own_key(name: &str, service: &Value) -> Faults {
    let mut faults = Faults::new();
    let mounted: Vec<String> = list(&service["volumes"])
        .into_iter()
        .filter(|volume| volume.starts_with(KEY_VOLUME))
        .collect();
    if name == KEY_MAKER {
        if service["network_mode"] != "none" {
            faults.push("sees every key, so it must have `network_mode: none`".to_owned());
        }
        return faults;
    }
    if mounted.iter().any(|volume| !volume.ends_with(":ro")) {
        faults.push("may change a key: mount it with :ro".to_owned());
    }
    let speaks = service["environment"].get("ODDSWIRE_NATS_URL").is_some();
    let folders: Vec<&str> = mounted.iter().filter_map(|v| v.split(':').nth(1)).collect();
    let file = service["environment"]["ODDSWIRE_NATS_NKEY_FILE"].as_str();
    let folder = file.and_then(|file| Some(file.rsplit_once('/')?.0));
    if speaks && folders != Vec::from_iter(folder) {
        faults.push(format!(
            "talks to the bus, so it mounts the one volume {KEY_VOLUME}<role> that ODDSWIRE_NATS_NKEY_FILE lies in"
        ));
    }
    if !speaks && !folders.is_empty() {
        faults.push("does not talk to the bus, so it must have no key".to_owned());
    }
    faults
}

fn hardening(service: &Value) -> Faults {
    let mut faults = Faults::new();
    let mut need = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("has no {what}"));
        }
    };
    let is_ours = service.get("build").is_some();
    need(
        !is_ours || is_plain_user(service["user"].as_str().unwrap_or_default()),
        "user other than root",
    );
    need(service["read_only"] == true, "`read_only: true`");
    need(
        list(&service["tmpfs"])
            .iter()
            .any(|path| path.starts_with("/tmp")),
        "tmpfs /tmp",
    );
    need(list(&service["cap_drop"]) == ["ALL"], "`cap_drop: [ALL]`");
    need(
        list(&service["security_opt"])
            .iter()
            .any(|o| o == "no-new-privileges:true"),
        "no-new-privileges",
    );
    need(service["stop_grace_period"].is_string(), "stop_grace_period");
    need(
        service["logging"]["options"]["max-size"].is_string(),
        "limit of its log (logging, max-size)",
    );
    faults
}

/// Neither root nor nobody in particular, as `user` or `user:group`.
pub(super) fn is_plain_user(user: &str) -> bool {
    !["", "0", "root"].contains(&user.split(':').next().unwrap_or_default())
}

fn list(value: &Value) -> Vec<String> {
    let text = |item: &Value| item.as_str().map(str::to_owned);
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        other => text(other).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests;
