//! Hits as a table for a terminal.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::{
    cli::render::plain,
    model::hit::{Hit, Person},
};

/// Names of participants shown for a hit; the others are counted.
const NAMES_MAX: usize = 3;

/// Writes one row a hit.
pub fn hits(hits: &[Hit], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["START (UTC)", "LASTED", "TYPE", "ORGANIZER", "PARTICIPANTS", "ID"]);
    for hit in hits {
        table.add_row([
            Cell::new(
                hit.start
                    .map_or_else(|| "?".to_owned(), |start| start.to_seconds_text().replace('T', " ").replace('Z', "")),
            ),
            Cell::new(hit.duration_s.map_or_else(|| "?".to_owned(), duration)).set_alignment(CellAlignment::Right),
            Cell::new(kind(hit)),
            Cell::new(hit.organizer.as_ref().map_or_else(|| "-".to_owned(), name)),
            Cell::new(names(&hit.participants)),
            Cell::new(&hit.id),
        ]);
    }
    for column in [0, 1, 5] {
        if let Some(column) = table.column_mut(column) {
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

fn kind(hit: &Hit) -> String {
    let name = hit.call_type.as_deref().unwrap_or_else(|| hit.kind.name());
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
