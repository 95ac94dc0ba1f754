//! The tables of sessions and of segments: what the views of these names in the database show, of any version.

use std::io;

use crate::{
    model::{
        derive,
        rows::{Endpoint, Failure, Segment, Session},
        time::{Age, Timestamp},
    },
    tables::{
        Row,
        cell::{Cell, Column, Type},
    },
};

pub(super) const SESSION: [Column; 24] = [
    Column::new("call_id", Type::Text),
    Column::new("version", Type::Whole),
    Column::new("n", Type::Whole),
    Column::new("id", Type::Text),
    Column::new("start_date_time", Type::Time),
    Column::new("end_date_time", Type::Time),
    Column::new("duration_s", Type::Real),
    Column::new("modalities", Type::Texts(";")),
    Column::new("is_test", Type::Truth),
    Column::new("failed", Type::Truth),
    Column::new("failure_stage", Type::Text),
    Column::new("failure_reason", Type::Text),
    Column::new("caller_name", Type::Text),
    Column::new("caller_upn", Type::Text),
    Column::new("caller_id", Type::Text),
    Column::new("caller_machine", Type::Text),
    Column::new("caller_platform", Type::Text),
    Column::new("caller_agent", Type::Text),
    Column::new("callee_name", Type::Text),
    Column::new("callee_upn", Type::Text),
    Column::new("callee_id", Type::Text),
    Column::new("callee_machine", Type::Text),
    Column::new("callee_platform", Type::Text),
    Column::new("callee_agent", Type::Text),
];

pub(super) const SEGMENT: [Column; 23] = [
    Column::new("call_id", Type::Text),
    Column::new("version", Type::Whole),
    Column::new("session_n", Type::Whole),
    Column::new("n", Type::Whole),
    Column::new("id", Type::Text),
    Column::new("start_date_time", Type::Time),
    Column::new("end_date_time", Type::Time),
    Column::new("duration_s", Type::Real),
    Column::new("failed", Type::Truth),
    Column::new("failure_stage", Type::Text),
    Column::new("failure_reason", Type::Text),
    Column::new("caller_name", Type::Text),
    Column::new("caller_upn", Type::Text),
    Column::new("caller_machine", Type::Text),
    Column::new("callee_name", Type::Text),
    Column::new("callee_upn", Type::Text),
    Column::new("callee_machine", Type::Text),
    Column::new("media_count", Type::Whole),
    Column::new("stream_count", Type::Whole),
    Column::new("max_packet_loss_rate", Type::Real),
    Column::new("max_jitter_ms", Type::Real),
    Column::new("max_round_trip_time_ms", Type::Real),
    Column::new("max_audio_degradation", Type::Real),
];

pub(super) fn for_each_session(row: &Row<'_>, on: &mut dyn FnMut(&[Cell<'_>]) -> io::Result<()>) -> io::Result<()> {
    for (n, session) in (0..).zip(&derive::sessions(row.json)) {
        let mut cells = vec![Cell::Text(row.hit.id.as_str().into()), Cell::Whole(row.hit.version.0), Cell::Whole(n)];
        cells.extend(session_cells(session));
        on(&cells)?;
    }
    Ok(())
}

pub(super) fn for_each_segment(row: &Row<'_>, on: &mut dyn FnMut(&[Cell<'_>]) -> io::Result<()>) -> io::Result<()> {
    for (session_n, session) in (0..).zip(&derive::sessions(row.json)) {
        for (n, segment) in (0..).zip(&session.segments) {
            let mut cells = vec![
                Cell::Text(row.hit.id.as_str().into()),
                Cell::Whole(row.hit.version.0),
                Cell::Whole(session_n),
                Cell::Whole(n),
            ];
            cells.extend(segment_cells(segment));
            on(&cells)?;
        }
    }
    Ok(())
}

fn session_cells(session: &Session) -> impl Iterator<Item = Cell<'_>> {
    let modalities = session.modalities.iter().map(|one| Some(one.as_str())).collect();
    let when = when(session.id.as_deref(), session.start, session.end);
    let what = [Cell::Texts(modalities), Cell::truth(session.is_test)];
    let ends = [session.caller.as_deref(), session.callee.as_deref()].into_iter().flat_map(|end| {
        let agent = end.and_then(|end| end.user_agent.as_ref());
        let [name, upn, id] = who(end);
        [
            name,
            upn,
            id,
            Cell::text(end.and_then(|end| end.name.as_deref())),
            Cell::text(agent.and_then(|agent| agent.platform.as_deref())),
            Cell::text(agent.and_then(|agent| agent.header_value.as_deref())),
        ]
    });
    when.into_iter().chain(what).chain(failure(session.failure.as_ref())).chain(ends)
}

fn segment_cells(segment: &Segment) -> impl Iterator<Item = Cell<'_>> {
    let when = when(segment.id.as_deref(), segment.start, segment.end);
    let ends = [segment.caller.as_deref(), segment.callee.as_deref()].into_iter().flat_map(|end| {
        let [name, upn, _] = who(end);
        [name, upn, Cell::text(end.and_then(|end| end.name.as_deref()))]
    });
    let quality = &segment.quality;
    let figures = [
        Cell::Whole(quality.media_count.into()),
        Cell::Whole(quality.stream_count.into()),
        Cell::real(quality.max_packet_loss_rate),
        Cell::real(quality.max_jitter.map(Age::as_millis_f64)),
        Cell::real(quality.max_round_trip_time.map(Age::as_millis_f64)),
        Cell::real(quality.max_audio_degradation),
    ];
    when.into_iter().chain(failure(segment.failure.as_ref())).chain(ends).chain(figures)
}

/// Id, start, end, seconds between them.
fn when(id: Option<&str>, start: Option<Timestamp>, end: Option<Timestamp>) -> [Cell<'_>; 4] {
    let duration = start.zip(end).map(|(start, end)| (end - start).as_seconds_f64());
    [Cell::text(id), Cell::time(start), Cell::time(end), Cell::real(duration)]
}

fn failure(failure: Option<&Failure>) -> [Cell<'_>; 3] {
    [
        Cell::Truth(failure.is_some()),
        Cell::text(failure.and_then(|failure| failure.stage.as_deref())),
        Cell::text(failure.and_then(|failure| failure.reason.as_deref())),
    ]
}

/// Name, UPN, id.
fn who(end: Option<&Endpoint>) -> [Cell<'_>; 3] {
    let identity = end.and_then(|end| end.identity.as_ref());
    [
        Cell::text(identity.and_then(|identity| identity.display_name.as_deref())),
        Cell::text(identity.and_then(|identity| identity.user_principal_name.as_deref())),
        Cell::text(identity.and_then(|identity| identity.id.as_deref())),
    ]
}
