//! Writes docs/openapi.json and docs/asyncapi.json: `cargo xtask types` runs it.

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, text) in oddswire_gateway::http::contract::files() {
        fs::write(top.join(name), text)?;
    }
    Ok(())
}
