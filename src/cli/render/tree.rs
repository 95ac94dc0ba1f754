//! One record as a tree: who took part, then sessions, segments, media and streams with their figures.
//!
//! Nothing is cut off, however long the meeting; what is null is left out. All text from Graph passes [`plain`] on its way
//! out, where the lines are written.
//!
//! [`plain`]: crate::cli::render::plain

mod media;

use std::{
    collections::HashMap,
    io::{self, Write},
};

use crate::{
    cli::render::{
        Shown,
        branch::{Branch, write_head, write_section},
        figures::{length, times},
        person,
    },
    model::{
        kind::Roles,
        presence::{Presence, presences, who},
        rows::{Derived, Endpoint, Failure, Party, Segment, Session, UserAgent},
        view::{self, call},
    },
};

/// Writes a call record as text.
pub(super) fn show(shown: &Shown<'_>, out: &mut dyn Write) -> io::Result<()> {
    let derived = shown.derived;
    write_head(&shown.info.key.to_string(), &header(shown), out)?;
    write_section("participants", &participants(derived), derived.parties.len(), out)?;
    let (call, _) = view::read::<call::Call<'_>>(shown.json);
    write_section("sessions", &sessions(derived, &call.unwrap_or_default()), derived.sessions.len(), out)
}

fn header(shown: &Shown<'_>) -> Vec<(&'static str, String)> {
    let derived = shown.derived;
    let record = &derived.record;
    let organizer = derived.parties.iter().find(|party| party.roles.contains(Roles::ORGANIZER));
    let rows = [
        ("type", record.call_type.clone()),
        ("start", record.start.map(|time| time.to_string())),
        ("end", record.end.map(|time| time.to_string())),
        ("duration", record.duration().map(length)),
        ("organizer", organizer.map(|party| person(&party.identity))),
        ("modalities", Some(record.modalities.join(", ")).filter(|text| !text.is_empty())),
        ("join URL", record.join_web_url.clone()),
        ("modified", record.last_modified.map(|time| time.to_string())),
        ("version", Some(shown.version())),
        ("FAILED", failures(derived)),
    ];
    rows.into_iter().filter_map(|(label, value)| Some((label, value?))).collect()
}

fn failures(derived: &Derived) -> Option<String> {
    let failed = |session: &&Session| {
        session.failure.is_some() || session.segments.iter().any(|segment| segment.failure.is_some())
    };
    let count = derived.sessions.iter().filter(failed).count();
    (count > 0).then(|| format!("{count} of {} sessions", derived.sessions.len()))
}

fn participants(derived: &Derived) -> Vec<Branch> {
    let presences = presences(derived);
    derived.parties.iter().map(|party| participant(party, presences.get(&who(&party.identity)))).collect()
}

fn participant(party: &Party, presence: Option<&Presence>) -> Branch {
    let roles = [
        (Roles::ORGANIZER, "organizer"),
        (Roles::PARTICIPANT, "participant"),
        (Roles::CALLER, "caller"),
        (Roles::CALLEE, "callee"),
    ];
    let roles: Vec<&str> =
        roles.into_iter().filter(|(role, _)| party.roles.contains(*role)).map(|(_, name)| name).collect();
    let mut branch = Branch::new(format!("{}  {}", person(&party.identity), roles.join(", ")));
    if let Some(Presence { joined, left, sessions }) = presence {
        let plural = if *sessions == 1 { "session" } else { "sessions" };
        branch.lines.push(format!("joined {}  {sessions} {plural}", times(*joined, *left)));
    }
    let ids = [("id", &party.identity.id), ("tenant", &party.identity.tenant_id)];
    let ids = ids.into_iter().filter_map(|(label, id)| Some(format!("{label} {}", id.as_ref()?)));
    let ids: Vec<String> = ids.filter(|text| !branch.lines[0].contains(text.trim_start_matches("id "))).collect();
    if !ids.is_empty() {
        branch.lines.push(ids.join(" · "));
    }
    branch
}

/// Sessions by who called, in the order in which they first did; somebody's several sessions hang below one line.
fn sessions(derived: &Derived, call: &call::Call<'_>) -> Vec<Branch> {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (n, session) in derived.sessions.iter().enumerate() {
        let caller = session.caller.as_deref();
        let key =
            caller.map_or_else(String::new, |caller| caller.identity.as_ref().map_or_else(|| endpoint(caller), who));
        let place = *places.entry(key).or_insert_with(|| {
            groups.push((caller.map_or_else(|| "nobody named".to_owned(), endpoint_name), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(n);
    }
    let one = |n: usize| session(n, &derived.sessions[n], call.sessions.get(n));
    groups
        .into_iter()
        .map(|(name, members)| {
            if let [single] = members.as_slice() {
                return one(*single);
            }
            let ours = || members.iter().map(|n| &derived.sessions[*n]);
            let start = ours().filter_map(|session| session.start).min();
            let end = ours().filter_map(|session| session.end).max();
            let mut group = Branch::new(format!("{name}  {} sessions  {}", members.len(), times(start, end)));
            group.below = members.iter().map(|n| one(*n)).collect();
            group
        })
        .collect()
}

fn session(n: usize, session: &Session, view: Option<&call::Session<'_>>) -> Branch {
    let mut heading = format!("session {}  {}", n + 1, times(session.start, session.end));
    if !session.modalities.is_empty() {
        heading = format!("{heading}  {}", session.modalities.join(", "));
    }
    if session.is_test == Some(true) {
        heading.push_str("  TEST CALL");
    }
    let mut branch = Branch::new(heading);
    failure(&mut branch, session.failure.as_ref());
    ends(&mut branch, [session.caller.as_deref(), session.callee.as_deref()]);
    branch.line("id", session.id.as_slice());
    let segments = session.segments.iter().enumerate();
    branch.below =
        segments.map(|(m, own)| segment(m, own, session, view.and_then(|view| view.segments.get(m)))).collect();
    branch
}

fn segment(n: usize, segment: &Segment, session: &Session, view: Option<&call::Segment<'_>>) -> Branch {
    let is_same_time = (segment.start, segment.end) == (session.start, session.end);
    let time = if is_same_time { String::new() } else { format!("  {}", times(segment.start, segment.end)) };
    let mut branch = Branch::new(format!("segment {}{time}", n + 1));
    failure(&mut branch, segment.failure.as_ref());
    let own = [(&segment.caller, &session.caller), (&segment.callee, &session.callee)];
    ends(&mut branch, own.map(|(own, of_session)| own.as_deref().filter(|_| own != of_session)));
    if segment.id != session.id {
        branch.line("id", segment.id.as_slice());
    }
    branch.below = view.map(|view| view.media.iter().map(media::branch).collect()).unwrap_or_default();
    branch
}

fn failure(branch: &mut Branch, failure: Option<&Failure>) {
    if let Some(Failure { stage, reason }) = failure {
        let stage = stage.as_deref().unwrap_or("at an unknown stage");
        let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        branch.lines.push(format!("FAILED {stage}{reason}"));
    }
}

/// Adds what is known of caller and callee.
fn ends(branch: &mut Branch, ends: [Option<&Endpoint>; 2]) {
    for (side, end) in ["caller", "callee"].into_iter().zip(ends) {
        let Some(end) = end else { continue };
        branch.lines.push(format!("{side}  {}", endpoint(end)));
        let Some(feedback) = &end.feedback else { continue };
        let said = [&feedback.rating, &feedback.text, &feedback.tokens];
        let said: Vec<String> = said.into_iter().flatten().filter(|text| *text != "notRated").cloned().collect();
        branch.line(&format!("feedback of {side}"), &said);
    }
}

fn endpoint_name(endpoint: &Endpoint) -> String {
    match &endpoint.identity {
        Some(identity) => person(identity),
        None if endpoint.endpoint_type == "serviceEndpoint" => "service".to_owned(),
        None => "somebody unknown".to_owned(),
    }
}

/// Who or what, on which machine, with which program.
fn endpoint(endpoint: &Endpoint) -> String {
    let number = |number: Option<i64>, unit: &str| number.map(|number| format!("{number} {unit}"));
    let mut parts = vec![endpoint_name(endpoint)];
    let machine = [
        endpoint.name.as_ref().map(|name| format!("machine {name}")),
        endpoint.cpu_name.clone(),
        number(endpoint.cpu_cores_count, "cores"),
        number(endpoint.cpu_processor_speed_mhz, "MHz"),
    ];
    parts.extend(machine.into_iter().flatten());
    parts.extend(endpoint.user_agent.as_ref().map(agent).unwrap_or_default());
    parts.join(" · ")
}

fn agent(agent: &UserAgent) -> Vec<String> {
    let known = |text: &Option<String>| text.clone().filter(|text| !text.eq_ignore_ascii_case("unknown"));
    let labelled = |label: &str, text: &Option<String>| known(text).map(|text| format!("{label} {text}"));
    let parts = [
        known(&agent.role),
        known(&agent.platform),
        known(&agent.product_family),
        labelled("version", &agent.application_version),
        known(&agent.header_value),
        labelled("application", &agent.azure_ad_app_id),
        labelled("communication service", &agent.communication_service_id),
    ];
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
