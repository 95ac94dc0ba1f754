//! What a record is linked with: which, how surely, and why.

use std::io::{self, Write};

use crate::{
    archive::links::{LINKS_MAX, Linked},
    cli::render::{
        branch::{Branch, write_section},
        plain,
    },
};

/// Writes the links below a record; nothing where there are none.
pub(super) fn section(linked: &[Linked], out: &mut dyn Write) -> io::Result<()> {
    if linked.is_empty() {
        return Ok(());
    }
    let branches: Vec<Branch> = linked.iter().map(branch).collect();
    write_section("linked", &branches, linked.len(), out)?;
    if linked.len() >= LINKS_MAX {
        writeln!(out, "   (the first {LINKS_MAX}; there may be more)")?;
    }
    Ok(())
}

/// Writes a line for each.
pub(super) fn list(linked: &[Linked], out: &mut dyn Write) -> io::Result<()> {
    for one in linked {
        writeln!(out, "{}", plain(&branch(one).lines.join("  ")))?;
    }
    Ok(())
}

fn branch(linked: &Linked) -> Branch {
    let start = linked.start.map(|start| format!("  {}", start.to_seconds_text())).unwrap_or_default();
    let mut branch = Branch::new(format!("{}{start}", linked.key));
    branch.lines.push(format!("{}: {}", linked.confidence, linked.reason));
    branch
}
