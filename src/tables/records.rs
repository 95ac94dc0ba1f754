//! The table of records: one line a version, the contract's hit flattened; of one log, that log's own columns after it.

use std::borrow::Cow;

use crate::{
    model::{
        hit::{Hit, Matched, Person},
        view::{
            self,
            leaf::Leaf,
            log::{Holds, Log},
        },
    },
    tables::{
        Row,
        cell::{Cell, Column, Type},
    },
};

/// The columns of every hit.
///
/// `participants` has the first of name, UPN, number and id that is known of each; `participant_ids` has their ids in the same
/// order, with an empty place for a person without one; `matched` is a JSON array.
const HIT: [Column; 17] = [
    Column::new("kind", Type::Text),
    Column::new("id", Type::Text),
    Column::new("version", Type::Whole),
    Column::new("start", Type::Time),
    Column::new("end", Type::Time),
    Column::new("duration_s", Type::Real),
    Column::new("type", Type::Text),
    Column::new("modalities", Type::Texts(";")),
    Column::new("organizer_id", Type::Text),
    Column::new("organizer_name", Type::Text),
    Column::new("organizer_upn", Type::Text),
    Column::new("organizer_phone", Type::Text),
    Column::new("participants", Type::Texts("; ")),
    Column::new("participant_ids", Type::Texts(";")),
    Column::new("sessions", Type::Whole),
    Column::new("failed", Type::Truth),
    Column::new("matched", Type::Text),
];

/// The columns of every hit, and those of `log` where all rows are of it: `log_id` and the like where a hit has one of that name.
pub(super) fn columns(log: Option<&'static Log>) -> Vec<Column> {
    let title = |title: Cow<'static, str>| {
        if HIT.iter().any(|column| column.title == title) { format!("log_{title}").into() } else { title }
    };
    let own = log.map(|log| log.columns).unwrap_or_default();
    let own = own.iter().map(|column| Column { title: title(column.title()), holds: type_of(column.holds) });
    HIT.into_iter().chain(own).collect()
}

fn type_of(holds: Holds) -> Type {
    match holds {
        Holds::Text | Holds::Json => Type::Text,
        Holds::Integer => Type::Whole,
        Holds::Boolean => Type::Truth,
        Holds::Decimal => Type::Decimal,
        Holds::Time => Type::Time,
    }
}

pub(super) fn cells<'a>(row: &Row<'a>, log: Option<&Log>) -> Vec<Cell<'a>> {
    let mut cells = hit_cells(row.hit);
    if let Some(log) = log {
        let members = view::read::<view::log::Row<'_>>(row.json).0.unwrap_or_default();
        cells.extend(log.columns.iter().map(|column| own_cell(members.get(column.member), column.holds)));
    }
    cells
}

fn hit_cells(hit: &Hit) -> Vec<Cell<'_>> {
    let organizer = hit.organizer.as_ref();
    let of_organizer =
        |member: fn(&Person) -> Option<&String>| Cell::text(organizer.and_then(member).map(String::as_str));
    vec![
        Cell::Text(hit.kind.name().into()),
        Cell::Text(hit.id.as_str().into()),
        Cell::Whole(hit.version.0),
        Cell::time(hit.start),
        Cell::time(hit.end),
        Cell::real(hit.duration_s),
        Cell::text(hit.call_type.as_deref()),
        hit.modalities
            .as_ref()
            .map_or(Cell::Nothing, |all| Cell::Texts(all.iter().map(|one| Some(one.as_str())).collect())),
        of_organizer(|person| person.id.as_ref()),
        of_organizer(|person| person.name.as_ref()),
        of_organizer(|person| person.upn.as_ref()),
        of_organizer(|person| person.phone.as_ref()),
        Cell::Texts(hit.participants.iter().map(Person::known_as).collect()),
        Cell::Texts(hit.participants.iter().map(|person| person.id.as_deref()).collect()),
        Cell::whole(hit.sessions),
        Cell::Truth(hit.failed),
        matched(&hit.matched),
    ]
}

fn own_cell(leaf: Leaf<'_>, holds: Holds) -> Cell<'_> {
    let own = match holds {
        Holds::Text => None,
        Holds::Time => return Cell::time(leaf.timestamp()),
        Holds::Boolean => leaf.boolean().map(Cell::Truth),
        Holds::Integer | Holds::Decimal => leaf.text().filter(|text| is_number(text)).map(Cell::Digits),
        Holds::Json => leaf.json().filter(|json| *json != "[]").map(|json| Cell::Text(json.into())),
    };
    own.unwrap_or_else(|| Cell::text(leaf.text()))
}

/// Digits with at most a sign in front, a point and an exponent: what JSON calls a number.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
        && text.bytes().all(|byte| b"+-.0123456789eE".contains(&byte))
        && !text.starts_with('+')
}

/// Who was asked for, as JSON, the contract's own; nothing where nobody was.
fn matched(matched: &[Matched]) -> Cell<'_> {
    let json = (!matched.is_empty()).then(|| serde_json::to_string(matched).unwrap_or_default());
    Cell::text(json)
}
