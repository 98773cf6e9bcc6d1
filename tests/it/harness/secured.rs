//! A server with the configuration that is deployed.

use super::logs;
use oddswire_kit::{
    bus::{BusOptions, BusSecurity},
    nats_server::NatsServer,
    roles::{Role, write_keys},
};
use oddswire_protocol::Subjects;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Starts one that stores in `dir`; gives where the keys of the roles are.
pub(crate) async fn start(dir: &Path, config: &str) -> (NatsServer, PathBuf) {
    let keys = dir.join("keys");
    write_keys(&keys, &Subjects::default()).unwrap();
    for entry in fs::read_dir(&keys).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "nk") {
            logs::plant(&fs::read_to_string(path).unwrap());
        }
    }
    for name in ["secure.conf", "tls.conf"] {
        let deployed = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../deploy/nats")
            .join(name);
        let text = fs::read_to_string(deployed).unwrap();
        let here = text
            .replace("/etc/nats/tls", &dir.join("tls").display().to_string())
            .replace("store_dir: /data", &format!("store_dir: \"{}\"", dir.display()));
        fs::write(dir.join(name), here).unwrap();
    }
    let nats = NatsServer::start_configured(dir, &dir.join(config))
        .await
        .unwrap();
    (nats, keys)
}

pub(crate) fn options(nats_url: &str, keys: &Path, role: Role) -> BusOptions {
    BusOptions {
        security: BusSecurity {
            nats_nkey_file: Some(keys.join(format!("{}.nk", role.name()))),
            ..BusSecurity::default()
        },
        ..BusOptions::at(nats_url)
    }
}
