//! Writes the JSON Schema files: `cargo xtask types` runs it.

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    fs::create_dir_all(&dir)?;
    for (name, text) in oddswire_protocol::schema::files() {
        fs::write(dir.join(name), text)?;
    }
    Ok(())
}
