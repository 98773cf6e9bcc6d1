use super::*;
use serde_json::json;

fn sound() -> Value {
    let service = |image: &str| {
        json!({
            "image": image, "build": ".", "user": "65532:65532", "read_only": true, "tmpfs": ["/tmp"],
            "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "restart": "unless-stopped",
            "stop_grace_period": "30s", "logging": {"options": {"max-size": "10m"}},
            "healthcheck": {"test": ["CMD", "oddswire", "healthcheck"]},
        })
    };
    let mut lb = service("haproxy:lts-alpine");
    lb["ports"] = json!(["${BIND:-127.0.0.1}:${PORT:-8080}:8080"]);
    lb["networks"] = json!({"edge": {"ipv4_address": "${LB:-172.30.250.2}"}});
    let mut provision = service("oddswire:local");
    provision["restart"] = json!("no");
    let mut gateway = service("oddswire:local");
    gateway["depends_on"] = json!({
        "provision": {"condition": "service_completed_successfully"},
        "lb": {"condition": "service_healthy"},
    });
    gateway["volumes"] = json!([
        "./deploy/a.conf:/a.conf:ro",
        "data:/data",
        "key-gateway:/keys/gateway:ro"
    ]);
    gateway["environment"] = json!({
        "ODDSWIRE_NATS_URL": "nats://nats:4222", "ODDSWIRE_NATS_NKEY_FILE": "/keys/gateway/gateway.nk",
        "ODDSWIRE_TRUST_PROXY": "${LB:-172.30.250.2}/32", "ODDSWIRE_INSECURE_NO_AUTH": "true",
    });
    let mut keys = provision.clone();
    keys["network_mode"] = json!("none");
    keys["volumes"] = json!(["key-gateway:/keys/gateway", "key-scraper:/keys/scraper"]);
    provision["depends_on"] = json!({"keys": {"condition": "service_completed_successfully"}});
    json!({"services": {"lb": lb, "keys": keys, "provision": provision, "gateway": gateway}})
}

/// Changes one key of the gateway; null takes it away.
fn with(key: &str, value: Value) -> Faults {
    let mut compose = sound();
    let gateway = compose["services"]["gateway"].as_object_mut().unwrap();
    if value.is_null() {
        gateway.remove(key);
    } else {
        gateway.insert(key.to_owned(), value);
    }
    check(&compose)
}

#[test]
fn a_sound_file_has_no_fault() {
    assert_eq!(check(&sound()), Faults::new());
}

#[test]
fn each_broken_rule_is_caught() {
    for (key, value) in [
        ("image", json!("oddswire")),
        ("image", json!("oddswire:latest")),
        ("container_name", json!("gateway")),
        ("ports", json!(["8080:8080"])),
        ("restart", json!("no")),
        ("healthcheck", Value::Null),
        ("healthcheck", json!({"test": "curl localhost"})),
        ("user", Value::Null),
        ("user", json!("0:0")),
        ("read_only", json!(false)),
        ("tmpfs", Value::Null),
        ("cap_drop", json!(["NET_ADMIN"])),
        ("security_opt", Value::Null),
        ("stop_grace_period", Value::Null),
        ("logging", json!({"driver": "json-file"})),
        ("environment", json!({"ODDSWIRE_NATS_URL": "nats://nats:4222"})),
        ("environment", json!({"ODDSWIRE_LOG": "info"})),
        ("volumes", json!([])),
        ("volumes", json!(["key-scraper:/keys/scraper:ro"])),
        ("volumes", json!(["key-gateway:/keys/gateway"])),
        (
            "volumes",
            json!(["key-gateway:/keys/gateway:ro", "key-scraper:/keys/scraper:ro"]),
        ),
        ("depends_on", json!({"redis": {"condition": "service_started"}})),
    ] {
        let faults = with(key, value.clone());
        assert!(
            faults.iter().any(|fault| fault.starts_with("service ")),
            "{key}: {value} gave {faults:?}"
        );
    }
}

#[test]
fn without_tokens_the_entrance_is_this_machines() {
    let published = |ports: Value, is_open: bool| {
        let mut compose = sound();
        compose["services"]["lb"]["ports"] = ports;
        if !is_open {
            let environment = &mut compose["services"]["gateway"]["environment"];
            environment["ODDSWIRE_INSECURE_NO_AUTH"] = json!("false");
        }
        check(&compose)
    };
    for ports in [
        json!(["8080:8080"]),
        json!(["${PORT:-8080}:8080"]),
        json!(["0.0.0.0:8080:8080"]),
    ] {
        let faults = published(ports.clone(), true);
        assert!(
            faults.iter().any(|f| f.contains("asks nobody")),
            "{ports}: {faults:?}"
        );
        assert_eq!(published(ports, false), Faults::new());
    }
}

#[test]
fn the_entrance_alone_is_believed_about_clients() {
    for trusted in ["172.16.0.0/12", "172.30.250.2/32,10.0.0.0/8", "172.30.250.0/24"] {
        let mut compose = sound();
        compose["services"]["gateway"]["environment"]["ODDSWIRE_TRUST_PROXY"] = json!(trusted);
        let faults = check(&compose);
        assert!(
            faults.iter().any(|f| f.contains("has to trust")),
            "{trusted}: {faults:?}"
        );
    }
}

#[test]
fn a_one_shot_must_not_be_restarted() {
    let mut compose = sound();
    compose["services"]["provision"]["restart"] = json!("unless-stopped");
    assert_eq!(
        check(&compose),
        ["service provision runs once, so its restart must be \"no\""]
    );
}

#[test]
fn who_makes_the_keys_reaches_nobody() {
    let mut compose = sound();
    compose["services"]["keys"]
        .as_object_mut()
        .unwrap()
        .remove("network_mode");
    assert_eq!(check(&compose).len(), 1);
}

#[test]
fn health_of_a_service_without_a_check_is_never_waited_for() {
    let mut compose = sound();
    compose["services"]["lb"]
        .as_object_mut()
        .unwrap()
        .remove("healthcheck");
    assert!(
        check(&compose)
            .iter()
            .any(|fault| fault.contains("waits for the health of lb"))
    );
}

#[test]
fn keys_of_one_compose_alone_are_caught() {
    let mut compose = sound();
    compose["name"] = json!("oddswire");
    assert_eq!(check(&compose).len(), 1);
}

#[test]
fn a_missing_or_writable_mount_is_caught() {
    assert!(missing_mounts(&sound(), &|path| path == "deploy/a.conf").is_empty());
    assert_eq!(missing_mounts(&sound(), &|_| false).len(), 1);
    let mut compose = sound();
    compose["services"]["gateway"]["volumes"] = json!(["./deploy/a.conf:/a.conf"]);
    assert_eq!(missing_mounts(&compose, &|_| true).len(), 1);
}
