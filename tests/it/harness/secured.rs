//! Servers with the configuration that is deployed.

use super::logs;
use oddswire_kit::{
    bus::{BusOptions, BusSecurity},
    nats_server::NatsServer,
    roles::{KeyLayout, Role, Separation, write_keys},
};
use oddswire_protocol::Subjects;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Makes the keys of the roles; gives where they are.
pub(crate) fn keys(dir: &Path) -> PathBuf {
    keys_for(dir, Separation::Accounts)
}

/// The same for a bus that keeps roles apart in a way.
pub(crate) fn keys_for(dir: &Path, separation: Separation) -> PathBuf {
    let keys = dir.join("keys");
    write_keys(&keys, KeyLayout::Together, &Subjects::default(), separation).unwrap();
    for entry in fs::read_dir(&keys).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "nk") {
            logs::plant(&fs::read_to_string(path).unwrap());
        }
    }
    keys
}

/// Copies a deployed file, with other addresses and folders: each must stand in it. Gives where it is.
pub(crate) fn localize(folder: &str, name: &str, dir: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let deployed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(folder)
        .join(name);
    let mut text = fs::read_to_string(deployed).unwrap();
    for (deployed, here) in changes {
        assert!(text.contains(deployed), "{name} has no {deployed}");
        text = text.replace(deployed, here);
    }
    let file = dir.join(name);
    fs::write(&file, text).unwrap();
    file
}

/// Writes a configuration of `deploy/nats`, which stores in `dir`.
pub(crate) fn write(dir: &Path, config: &str) -> PathBuf {
    let store = format!("store_dir: \"{}\"", dir.display());
    localize("nats", "secure.conf", dir, &[("store_dir: /data", &store)]);
    localize(
        "nats",
        "tls.conf",
        dir,
        &[("/etc/nats/tls", &dir.join("tls").display().to_string())],
    );
    dir.join(config)
}

/// Starts one that stores in `dir`.
pub(crate) async fn start(dir: &Path, config: &str) -> NatsServer {
    NatsServer::start_configured(dir, &write(dir, config))
        .await
        .unwrap()
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

/// Where [`certificates`] puts the authority's.
pub(crate) fn authority(dir: &Path) -> PathBuf {
    dir.join("tls/ca.crt")
}

/// An authority and a certificate of it for these names, where the servers' configuration wants them.
pub(crate) fn certificates(dir: &Path, names: &[&str]) {
    let tls = dir.join("tls");
    fs::create_dir_all(&tls).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let params = CertificateParams::new(names).unwrap();
    let server = params.signed_by(&key, &issuer).unwrap();
    fs::write(authority(dir), ca.pem()).unwrap();
    fs::write(tls.join("server.crt"), server.pem()).unwrap();
    fs::write(tls.join("server.key"), key.serialize_pem()).unwrap();
}
