//! Hits as a table for a terminal.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::{
    cli::render::plain,
    model::{
        hit::{Hit, Person},
        kind::Kind,
    },
};

/// Names of participants shown for a hit; the others are counted.
const NAMES_MAX: usize = 3;

/// Writes one row a hit. Kinds are told where there are others than calls, organizers where there is one.
pub fn hits(hits: &[Hit], out: &mut dyn Write) -> io::Result<()> {
    let has_logs = hits.iter().any(|hit| hit.kind != Kind::Call);
    let has_organizers = hits.iter().any(|hit| hit.organizer.is_some());
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    let columns = [
        ("START (UTC)", true),
        ("LASTED", true),
        ("KIND", has_logs),
        ("TYPE", true),
        ("ORGANIZER", has_organizers),
        ("PARTICIPANTS", true),
        ("ID", true),
    ];
    table.set_header(columns.iter().filter(|(_, is_told)| *is_told).map(|(title, _)| *title));
    for hit in hits {
        let start = hit.start.map(|start| start.to_seconds_text().replace('T', " ").replace('Z', ""));
        let cells = [
            Cell::new(start.unwrap_or_else(|| "?".to_owned())),
            Cell::new(hit.duration_s.map_or_else(|| "-".to_owned(), duration)).set_alignment(CellAlignment::Right),
            Cell::new(hit.kind.name()),
            Cell::new(record_type(hit)),
            Cell::new(hit.organizer.as_ref().map_or_else(|| "-".to_owned(), name)),
            Cell::new(names(&hit.participants)),
            Cell::new(plain(&hit.id)),
        ];
        table.add_row(cells.into_iter().zip(columns).filter(|(_, (_, is_told))| *is_told).map(|(cell, _)| cell));
    }
    // What is read at a glance and what is copied stays on one line.
    let whole = ["START (UTC)", "LASTED", "KIND", "ID"];
    let told = columns.iter().filter(|(_, is_told)| *is_told).enumerate();
    for (place, _) in told.filter(|(_, (title, _))| whole.contains(title)) {
        if let Some(column) = table.column_mut(place) {
            column.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
        }
    }
    writeln!(out, "{}", table.trim_fmt())
}

/// `1:02:03` or `2:03`, whole seconds.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "whole seconds for the eye")]
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as i64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

fn record_type(hit: &Hit) -> String {
    let name = hit.call_type.as_deref().unwrap_or("-");
    let failed = if hit.failed { " (failed)" } else { "" };
    format!("{}{failed}", plain(name))
}

fn names(people: &[Person]) -> String {
    let mut text = people.iter().take(NAMES_MAX).map(name).collect::<Vec<_>>().join(", ");
    if people.len() > NAMES_MAX {
        text.push_str(&format!(" +{}", people.len() - NAMES_MAX));
    }
    text
}

fn name(person: &Person) -> String {
    let known = [&person.name, &person.phone, &person.upn, &person.id].into_iter().flatten().next();
    known.map_or_else(|| "?".to_owned(), |text| plain(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        id::{RecordId, Seq, Version},
        time::Timestamp,
    };

    fn hit(kind: Kind, call_type: Option<&str>, duration_s: Option<f64>) -> Hit {
        let person = |name: &str| Person { name: Some(name.into()), ..Person::default() };
        Hit {
            kind,
            id: "x1".into(),
            version: Version(1),
            start: Timestamp::parse("2026-11-01T08:00:00.5Z"),
            end: None,
            duration_s,
            call_type: call_type.map(str::to_owned),
            modalities: None,
            organizer: (kind == Kind::Call).then(|| person("Adele")),
            participants: ["Adele", "+4989123***"].map(person).into(),
            sessions: None,
            failed: kind == Kind::DirectRouting,
            matched: Vec::new(),
            next: None,
            seq: Seq(1),
            record_id: RecordId(1),
        }
    }

    fn written(list: &[Hit]) -> Vec<String> {
        let mut out = Vec::new();
        hits(list, &mut out).unwrap();
        String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn calls_need_no_kind_and_logs_no_organizer() {
        let calls = written(&[hit(Kind::Call, Some("groupCall"), Some(61.0))]);
        assert_eq!(calls[0], "START (UTC) LASTED TYPE ORGANIZER PARTICIPANTS ID");
        assert_eq!(calls[1], "2026-11-01 08:00:00 1:01 groupCall Adele Adele, +4989123*** x1");
        let logs = written(&[hit(Kind::DirectRouting, Some("ByotIn"), None), hit(Kind::DialOut, None, None)]);
        assert_eq!(logs[0], "START (UTC) LASTED KIND TYPE PARTICIPANTS ID");
        assert_eq!(logs[1], "2026-11-01 08:00:00 - direct-routing ByotIn (failed) Adele, +4989123*** x1");
        assert_eq!(logs[2], "2026-11-01 08:00:00 - dial-out - Adele, +4989123*** x1");
        let both = written(&[hit(Kind::Call, Some("groupCall"), None), hit(Kind::Pstn, Some("user_in"), Some(5.0))]);
        assert_eq!(both[0], "START (UTC) LASTED KIND TYPE ORGANIZER PARTICIPANTS ID");
        assert_eq!(both[2], "2026-11-01 08:00:00 0:05 pstn user_in - Adele, +4989123*** x1");
    }
}
