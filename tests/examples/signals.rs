//! Writes docs/metrics.md, the alert rules and the dashboard: `cargo xtask types` runs it.

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, text) in oddswire_e2e::signals::files() {
        fs::write(top.join(name), text)?;
    }
    Ok(())
}
