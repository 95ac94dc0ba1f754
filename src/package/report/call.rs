//! A call in full: who took part from when to when, its sessions and segments over time, and how good they were.

use std::fmt::Write;

use crate::{
    model::{
        kind::Roles,
        presence::{presences, who},
        rows::{Failure, Party, Quality, Session},
        time::Age,
    },
    package::{
        Item,
        report::{at, cell, clock, escaped, facts, foot, head, length, number_cell, record, timeline},
    },
};

pub(super) fn section(page: &mut String, item: &Item<'_>) {
    record::open(page, item);
    let record = &item.derived.record;
    let failed = item.derived.sessions.iter().filter(|session| has_failed(session)).count();
    let failed = (failed > 0).then(|| format!("{failed} of {} sessions", item.derived.sessions.len()));
    facts(
        page,
        [
            ("id", Some(item.key.id.clone())),
            ("type", record.call_type.clone()),
            ("start", record.start.map(at)),
            ("end", record.end.map(at)),
            ("length", record.duration().map(length)),
            ("organizer", item.hit.organizer.as_ref().and_then(|person| person.known_as()).map(str::to_owned)),
            ("modalities", Some(record.modalities.join(", ")).filter(|text| !text.is_empty())),
            ("join URL", record.join_web_url.clone()),
            ("failures", failed),
        ],
    );
    participants(page, item);
    sessions(page, item);
    record::close(page, item);
}

fn has_failed(session: &Session) -> bool {
    session.failure.is_some() || session.segments.iter().any(|segment| segment.failure.is_some())
}

fn participants(page: &mut String, item: &Item<'_>) {
    let parties = &item.derived.parties;
    if parties.is_empty() {
        return;
    }
    let _ = writeln!(page, "<h4>Participants ({})</h4>", parties.len());
    head(page, &["name", "address or number", "part", "joined", "left", "sessions"]);
    let presences = presences(item.derived);
    let start = item.derived.record.start;
    for party in parties {
        let presence = presences.get(&who(&party.identity)).copied().unwrap_or_default();
        page.push_str("<tr>");
        cell(page, party.identity.display_name.as_deref().or(party.identity.id.as_deref()).unwrap_or_default());
        cell(
            page,
            party.identity.user_principal_name.as_deref().or_else(|| party.identity.phone()).unwrap_or_default(),
        );
        cell(page, &parts(party));
        cell(page, &presence.joined.map(|time| clock(time, start)).unwrap_or_default());
        cell(page, &presence.left.map(|time| clock(time, start)).unwrap_or_default());
        let sessions = if presence.sessions == 0 { String::new() } else { presence.sessions.to_string() };
        cell(page, &sessions);
        page.push_str("</tr>\n");
    }
    foot(page);
}

fn parts(party: &Party) -> String {
    let parts = [
        (Roles::ORGANIZER, "organizer"),
        (Roles::PARTICIPANT, "participant"),
        (Roles::CALLER, "caller"),
        (Roles::CALLEE, "callee"),
    ];
    let parts: Vec<&str> =
        parts.into_iter().filter(|(role, _)| party.roles.contains(*role)).map(|(_, name)| name).collect();
    parts.join(", ")
}

fn sessions(page: &mut String, item: &Item<'_>) {
    let sessions = &item.derived.sessions;
    if sessions.is_empty() {
        page.push_str("<p class=\"soft\">The record has no sessions.</p>\n");
        return;
    }
    let _ = writeln!(page, "<h4>Sessions ({}) and segments over time</h4>", sessions.len());
    timeline::draw(page, sessions);
    page.push_str("<h4>Quality: the worst of each segment's streams</h4>\n");
    page.push_str(
        "<table>\n<thead><tr><th>session</th><th>from → to</th><th>modalities</th><th class=\"n\">packets lost</th>\
         <th class=\"n\">jitter</th><th class=\"n\">round trip</th><th class=\"n\">degradation</th><th>failure</th></tr></thead>\n<tbody>\n",
    );
    for (n, session) in (1..).zip(sessions) {
        let ends =
            format!("{} → {}", timeline::end(session.caller.as_deref()), timeline::end(session.callee.as_deref()));
        if session.segments.is_empty() {
            row(page, &n.to_string(), &ends, session, &Quality::default(), session.failure.as_ref());
        }
        for (m, segment) in (1..).zip(&session.segments) {
            let failure = segment.failure.as_ref().or(session.failure.as_ref());
            let number = if session.segments.len() == 1 { n.to_string() } else { format!("{n}.{m}") };
            row(page, &number, &ends, session, &segment.quality, failure);
        }
    }
    foot(page);
}

fn row(page: &mut String, number: &str, ends: &str, session: &Session, quality: &Quality, failure: Option<&Failure>) {
    page.push_str("<tr>");
    cell(page, number);
    cell(page, ends);
    cell(page, &session.modalities.join(", "));
    number_cell(page, &quality.max_packet_loss_rate.map(|rate| format!("{:.2} %", rate * 100.0)).unwrap_or_default());
    number_cell(page, &quality.max_jitter.map(milliseconds).unwrap_or_default());
    number_cell(page, &quality.max_round_trip_time.map(milliseconds).unwrap_or_default());
    number_cell(page, &quality.max_audio_degradation.map(|figure| format!("{figure:.2}")).unwrap_or_default());
    match failure {
        Some(Failure { stage, reason }) => {
            let said: Vec<&str> = [stage, reason].into_iter().flatten().map(String::as_str).collect();
            let said = if said.is_empty() { "failed".to_owned() } else { said.join(": ") };
            let _ = write!(page, "<td class=\"bad\">{}</td>", escaped(&said));
        }
        None => page.push_str("<td></td>"),
    }
    page.push_str("</tr>\n");
}

fn milliseconds(age: Age) -> String {
    format!("{:.0} ms", age.as_millis_f64())
}
