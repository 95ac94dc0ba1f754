//! What all records have in common in the report, and those that are no calls: a row of a log, somebody of the directory, member by member.

use std::fmt::Write;

use crate::{
    model::{
        id::Sha256,
        view::{self, log::Row},
    },
    package::{
        Item,
        report::{escaped, facts, maybe_at},
    },
};

/// The heading of a record.
pub(super) fn open(page: &mut String, item: &Item<'_>) {
    let failed = if item.hit.failed { " <span class=\"tag bad\">failed</span>" } else { "" };
    let _ = writeln!(
        page,
        "<section id=\"{}\">\n<h3>{}. {} {} <span class=\"tag\">version {}</span>{failed}</h3>",
        item.control(),
        item.n,
        escaped(item.key.kind.name()),
        maybe_at(item.hit.start),
        item.version
    );
}

/// Where it stands in the ledger, and the end of its section.
pub(super) fn close(page: &mut String, item: &Item<'_>) {
    let _ = writeln!(
        page,
        "<p class=\"proof\">{} · ledger entry {} · SHA-256 of the record as shown {}</p>\n</section>",
        item.control(),
        item.seq,
        Sha256::of(item.json.as_bytes())
    );
}

pub(super) fn section(page: &mut String, item: &Item<'_>) {
    open(page, item);
    let row = view::read::<Row<'_>>(item.json).0.unwrap_or_default();
    let members = row.members().filter(|(name, _)| !name.contains('@') || *name == "@removed");
    let asked = item.asked.map(|span| span.to_string());
    let members = members.map(|(name, leaf)| {
        // What is no text stands as JSON.
        let value = leaf.owned().or_else(|| leaf.json().filter(|json| *json != "null").map(str::to_owned));
        (name, value.filter(|value| !value.is_empty()))
    });
    facts(page, members.chain([("asked for", asked)]));
    close(page, item);
}
