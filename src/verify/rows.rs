//! Stored rows against what the newest version derives to.

use crate::{
    archive::{rows_read::Rows, versions::Line},
    model::{
        derive,
        rows::{Derived, Endpoint, Segment, Session},
    },
    verify::{Finding, What},
};

/// Compares the rows of a record with what `line`, its newest version, derives to. One finding names all that differs.
pub(super) fn check(line: &Line<'_>, rows: Option<&Rows>) -> Option<Finding> {
    let info = &line.info;
    let finding =
        |message: String| Finding::new(What::Rows, message).record(Some(&info.key)).version(info.version).seq(info.seq);
    let Some(rows) = rows else {
        return Some(finding("its rows are missing".into()));
    };
    let derived = derive::rows(&info.key, line.asked, line.json);
    let expected = Rows::expected(&info.key, (info.seq, info.version), derived);
    if *rows == expected {
        return None;
    }
    let differing = differing(rows, &expected);
    Some(finding(format!("its rows are not what it derives to: {}", differing.join(", "))))
}

/// The tables and columns that differ, as `table.column`; sessions and segments with their positions.
fn differing(rows: &Rows, expected: &Rows) -> Vec<String> {
    let (ours, theirs) = (&rows.derived, &expected.derived);
    let (record, expected_record) = (&ours.record, &theirs.record);
    let mut found: Vec<String> = [
        ("hit.seq", rows.seq == expected.seq),
        ("hit.kind", rows.kind == expected.kind),
        ("hit.start_ns", record.start == expected_record.start),
        ("hit.end_ns", record.end == expected_record.end),
        ("hit.type", record.call_type == expected_record.call_type),
        ("hit.modalities", record.modalities == expected_record.modalities),
        ("hit.organizer", rows.organizer == expected.organizer),
        ("hit.session_count", rows.session_count == expected.session_count),
        ("hit.failed", record.failed == expected_record.failed),
        ("call.version", rows.version == expected.version),
        ("call.last_modified_ns", record.last_modified == expected_record.last_modified),
        ("call.join_web_url", record.join_web_url == expected_record.join_web_url),
        ("the columns of its log", ours.log == theirs.log),
        ("party.start_ns", rows.parties_start == expected.parties_start),
        ("party", ours.parties == theirs.parties),
        ("feedback", rows.feedback == expected.feedback),
        ("positions of parties, sessions or segments", rows.in_order),
    ]
    .into_iter()
    .filter(|(_, is_same)| !is_same)
    .map(|(name, _)| name.to_owned())
    .collect();
    sessions(ours, theirs, &mut found);
    found
}

/// Names the first that differ; a meeting's thousand would fill the report.
const NAMED_MAX: usize = 8;

fn sessions(ours: &Derived, theirs: &Derived, found: &mut Vec<String>) {
    if ours.sessions.len() != theirs.sessions.len() {
        found.push(format!("session ({} rows instead of {})", ours.sessions.len(), theirs.sessions.len()));
    }
    let before = found.len();
    for (n, (our, their)) in ours.sessions.iter().zip(&theirs.sessions).enumerate() {
        if our == their {
            continue;
        }
        if found.len() - before == NAMED_MAX {
            found.push("…".into());
            break;
        }
        let columns = session(our, their);
        if !columns.is_empty() {
            found.push(format!("session {n} ({})", columns.join(" ")));
        }
        if our.segments.len() != their.segments.len() {
            found.push(format!(
                "segment of session {n} ({} rows instead of {})",
                our.segments.len(),
                their.segments.len()
            ));
        }
        for (m, (our, their)) in
            our.segments.iter().zip(&their.segments).enumerate().filter(|(_, (our, their))| our != their)
        {
            found.push(format!("segment {n}.{m} ({})", segment(our, their).join(" ")));
        }
    }
}

fn session(our: &Session, their: &Session) -> Vec<&'static str> {
    names([
        ("id", our.id == their.id),
        ("start_ns", our.start == their.start),
        ("end_ns", our.end == their.end),
        ("modalities", our.modalities == their.modalities),
        ("is_test", our.is_test == their.is_test),
        ("failure", our.failure == their.failure),
        ("caller", same(our.caller.as_deref(), their.caller.as_deref())),
        ("callee", same(our.callee.as_deref(), their.callee.as_deref())),
    ])
}

fn segment(our: &Segment, their: &Segment) -> Vec<&'static str> {
    names([
        ("id", our.id == their.id),
        ("start_ns", our.start == their.start),
        ("end_ns", our.end == their.end),
        ("failure", our.failure == their.failure),
        ("caller", same(our.caller.as_deref(), their.caller.as_deref())),
        ("callee", same(our.callee.as_deref(), their.callee.as_deref())),
        ("quality", our.quality == their.quality),
    ])
}

fn same(our: Option<&Endpoint>, their: Option<&Endpoint>) -> bool {
    our == their
}

fn names<const N: usize>(columns: [(&'static str, bool); N]) -> Vec<&'static str> {
    columns.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}
