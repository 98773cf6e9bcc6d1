//! The house invariants: most are about what is absent. Each is printed with its sentence, as ARCHITECTURE.md has it.

mod files;
mod imports;
mod links;
mod manifests;
mod promised;
mod reach;
mod tree;

use anyhow::{Result, bail};
use tree::Tree;

/// Where a sentence does not hold: a line each, `path:line: what stands there`.
type Violations = Vec<String>;

/// Checks all; what is broken is printed under its sentence.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read()?;
    let mut broken = 0;
    let mut report = |sentence: &str, violations: Violations| {
        println!(
            "{} {sentence}",
            if violations.is_empty() { "  ok  " } else { "BROKEN" }
        );
        for violation in &violations {
            println!("         {violation}");
        }
        broken += usize::from(!violations.is_empty());
    };
    for rule in reach::RULES {
        report(rule.sentence, rule.check()?);
    }
    for rule in imports::RULES {
        report(rule.sentence, rule.check(&tree));
    }
    for rule in files::RULES {
        report(rule.sentence, rule.check(&tree));
    }
    report(manifests::SENTENCE, manifests::check(&tree));
    report(links::SENTENCE, links::check(&tree));
    for table in &promised::TABLES {
        report(table.sentence, table.check(&tree));
    }
    for warning in files::long(&tree) {
        println!(" note  {warning}");
    }
    if broken > 0 {
        bail!("{broken} invariants do not hold");
    }
    Ok(())
}
