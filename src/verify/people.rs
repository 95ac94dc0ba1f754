//! Stored rows of a person against what all their versions derive to.

use crate::{
    archive::{self, Archive, inspect::VersionRow, people::PersonRow},
    verify::{Finding, What},
};

/// Compares the rows of the person whose newest version is `row`. One finding names all that differs.
pub(super) fn check(archive: &Archive, row: &VersionRow) -> archive::Result<Option<Finding>> {
    let Some(key) = &row.key else { return Ok(None) };
    let history = match archive.person(key) {
        // The damaged version is a finding of its own, and what those after it say cannot be told.
        Err(error) if error.is_damage() => return Ok(None),
        history => history?,
    };
    let expected: Vec<PersonRow> =
        history.into_iter().map(|version| PersonRow::expected(version.info.version, version.person)).collect();
    let rows = archive.person_rows(row.record_id)?;
    if rows == expected {
        return Ok(None);
    }
    let message = if rows.is_empty() {
        "its rows are missing".to_owned()
    } else {
        format!("its rows are not what it derives to: {}", differing(&rows, &expected).join(", "))
    };
    Ok(Some(Finding::new(What::Rows, message).record(Some(key)).version(row.version).seq(row.seq)))
}

/// The columns that differ, with the version in whose row.
fn differing(rows: &[PersonRow], expected: &[PersonRow]) -> Vec<String> {
    let mut found = Vec::new();
    if rows.len() != expected.len() {
        found.push(format!("person ({} rows instead of {})", rows.len(), expected.len()));
    }
    for (ours, theirs) in rows.iter().zip(expected) {
        let columns = columns(ours, theirs);
        if !columns.is_empty() {
            found.push(format!("person version {} ({})", theirs.version, columns.join(" ")));
        }
    }
    found
}

fn columns(row: &PersonRow, expected: &PersonRow) -> Vec<&'static str> {
    let (ours, theirs) = (&row.person, &expected.person);
    [
        ("version", row.version == expected.version),
        ("seen_ns", ours.seen == theirs.seen),
        ("id", ours.id == theirs.id),
        ("display_name", ours.display_name == theirs.display_name),
        ("user_principal_name", ours.user_principal_name == theirs.user_principal_name),
        ("mail", ours.mail == theirs.mail),
        ("other_mails", ours.other_mails == theirs.other_mails),
        ("department", ours.department == theirs.department),
        ("business_phones", ours.business_phones == theirs.business_phones),
        ("mobile_phone", ours.mobile_phone == theirs.mobile_phone),
        ("account_enabled", ours.account_enabled == theirs.account_enabled),
        ("removed", ours.removed == theirs.removed),
        ("person_term", row.terms == expected.terms),
    ]
    .into_iter()
    .filter(|(_, is_same)| !is_same)
    .map(|(name, _)| name)
    .collect()
}
