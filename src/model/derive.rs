//! `Document → Derived`: the step from Graph's JSON to our rows and search texts.
//!
//! Pure, and it never fails on content: what is missing or odd becomes `None`, what is new is counted, and a text that is no
//! JSON gives an empty [`Derived`]. The new identity members (`organizer_v2`, `participants_v2`, `associatedIdentity`) come
//! first; the old ones (`organizer`, `participants`, `identity`) count only where the new say nothing.

mod log;
mod parties;
pub mod person;
mod search;

use std::sync::Arc;

use crate::model::{
    document::Document,
    id::RecordKey,
    kind::Kind,
    rows::{Derived, Endpoint, Failure, Feedback, Identity, Quality, Record, Segment, Session, UserAgent},
    time::Span,
    view::{
        self, call, identity,
        leaf::Leaf,
        media::{Figures, Line, Stored},
    },
};
use parties::Parties;

/// Derives everything from `document`, whose parts `assembled` was made of.
#[must_use]
pub fn derive(document: &Document, assembled: &str) -> Derived {
    match document.key.kind {
        Kind::Person => person::derive(document, assembled),
        _ => record(&document.key, document.asked_span(), assembled),
    }
}

/// The sessions of the call that `assembled` is, as [`derive`] gives them but for the set keys of their identities.
#[must_use]
pub fn sessions(assembled: &str) -> Vec<Session> {
    let call = view::read::<call::Call<'_, Figures<'_>>>(assembled).0.unwrap_or_default();
    sessions_of(&call)
}

/// Derives everything from the document of anything but a person; `asked` is the span that a row of a log was asked for with.
#[must_use]
pub fn record(key: &RecordKey, asked: Option<Span>, assembled: &str) -> Derived {
    match view::log::log(key.kind) {
        Some(log) => log::derive(key, asked, assembled, log),
        None => call(assembled, key),
    }
}

/// Derives rows alone, no search texts: what an examination compares.
#[must_use]
pub fn rows(key: &RecordKey, asked: Option<Span>, assembled: &str) -> Derived {
    match view::log::log(key.kind) {
        Some(log) => log::derive(key, asked, assembled, log),
        None => rows_of_call(assembled),
    }
}

/// What a document says to whoever shows it: as [`rows`], and of somebody of the directory who they are, as far as this version says it.
#[must_use]
pub fn shown(key: &RecordKey, asked: Option<Span>, assembled: &str) -> Derived {
    if key.kind == Kind::Person { person::shown(assembled) } else { rows(key, asked, assembled) }
}

fn call(assembled: &str, key: &RecordKey) -> Derived {
    let (call, unknown_members) = view::read::<call::Call<'_, Stored<'_>>>(assembled);
    let call = call.unwrap_or_default();
    let (record, parties, sessions) = taken_apart(&call);
    let search = search::texts(key, &call, &record, parties.named(), &sessions);
    Derived { record, parties: parties.into_vec(), sessions, search, unknown_members, ..Derived::default() }
}

/// Steps over networks, devices and most of the streams: two thirds of a call.
fn rows_of_call(assembled: &str) -> Derived {
    let call = view::read::<call::Call<'_, Figures<'_>>>(assembled).0.unwrap_or_default();
    let (record, parties, sessions) = taken_apart(&call);
    Derived { record, parties: parties.into_vec(), sessions, ..Derived::default() }
}

fn taken_apart<'a, M: Line<'a>>(call: &call::Call<'a, M>) -> (Record, Parties, Vec<Session>) {
    let mut sessions = sessions_of(call);
    let mut parties = Parties::default();
    parties.add_organizer(organizer(call).as_ref());
    parties.add_participants(&participants(call));
    parties.add_endpoints(&mut sessions);
    (record_of(call, &sessions), parties, sessions)
}

fn record_of<M>(call: &call::Call<'_, M>, sessions: &[Session]) -> Record {
    let failed = |session: &Session| {
        session.failure.is_some() || session.segments.iter().any(|segment| segment.failure.is_some())
    };
    Record {
        start: call.start.timestamp(),
        end: call.end.timestamp(),
        last_modified: call.last_modified.timestamp(),
        call_type: call.call_type.owned(),
        modalities: texts(&call.modalities),
        join_web_url: call.join_web_url.owned(),
        failed: sessions.iter().any(failed),
    }
}

fn organizer<M>(call: &call::Call<'_, M>) -> Option<Identity> {
    let new = call.organizer_v2.as_ref().and_then(participant);
    new.or_else(|| identity_of_set(call.organizer.as_ref()?))
}

fn participants<M>(call: &call::Call<'_, M>) -> Vec<Identity> {
    let new: Vec<_> = call.participants_v2.iter().filter_map(participant).collect();
    if new.is_empty() { call.participants.iter().filter_map(identity_of_set).collect() } else { new }
}

/// The identity's own id counts; the participant's, which repeats for different people, only where the identity has none.
fn participant(view: &identity::Participant<'_>) -> Option<Identity> {
    let mut identity = view.identity.as_ref().and_then(identity_of_set).unwrap_or_default();
    if identity.id.is_none() {
        identity.id = view.id.owned();
    }
    (identity != Identity::default()).then_some(identity)
}

fn identity_of_set(set: &identity::IdentitySet<'_>) -> Option<Identity> {
    let (set_key, identity) = set.identity.as_ref()?;
    Some(named_identity(set_key.clone(), identity))
}

fn named_identity(set_key: String, view: &identity::Identity<'_>) -> Identity {
    Identity {
        set_key,
        id: view.id.owned(),
        display_name: view.display_name.owned(),
        user_principal_name: view.user_principal_name.owned().or_else(|| view.email.owned()),
        tenant_id: view.tenant_id.owned(),
    }
}

fn sessions_of<'a, M: Line<'a>>(call: &call::Call<'a, M>) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::with_capacity(call.sessions.len());
    for (n, view) in call.sessions.iter().enumerate() {
        // The sessions of a meeting all lead to the same service.
        let before = n.checked_sub(1).and_then(|before| Some((call.sessions.get(before)?, sessions.get(before)?)));
        let same = before.filter(|(before, _)| before.callee == view.callee);
        let callee = match same {
            Some((_, session)) => session.callee.clone(),
            None => shared(view.callee.as_ref()),
        };
        sessions.push(session(view, shared(view.caller.as_ref()), callee));
    }
    sessions
}

fn shared(view: Option<&call::Endpoint<'_>>) -> Option<Arc<Endpoint>> {
    view.map(|view| Arc::new(endpoint(view)))
}

fn session<'a, M: Line<'a>>(
    view: &call::Session<'a, M>,
    caller: Option<Arc<Endpoint>>,
    callee: Option<Arc<Endpoint>>,
) -> Session {
    Session {
        id: view.id.owned(),
        start: view.start.timestamp(),
        end: view.end.timestamp(),
        modalities: texts(&view.modalities),
        is_test: view.is_test.boolean(),
        failure: view.failure_info.as_ref().map(failure),
        segments: view.segments.iter().map(|its| segment(its, view, (caller.as_ref(), callee.as_ref()))).collect(),
        caller,
        callee,
    }
}

fn segment<'a, M: Line<'a>>(
    view: &call::Segment<'a, M>,
    session: &call::Session<'a, M>,
    (caller, callee): (Option<&Arc<Endpoint>>, Option<&Arc<Endpoint>>),
) -> Segment {
    let own = |end: &Option<call::Endpoint<'_>>, of_session, of_its: Option<&Arc<Endpoint>>| {
        if end == of_session { of_its.cloned() } else { shared(end.as_ref()) }
    };
    Segment {
        id: view.id.owned(),
        start: view.start.timestamp(),
        end: view.end.timestamp(),
        failure: view.failure_info.as_ref().map(failure),
        caller: own(&view.caller, &session.caller, caller),
        callee: own(&view.callee, &session.callee, callee),
        quality: quality(&view.media),
    }
}

fn failure(view: &call::FailureInfo<'_>) -> Failure {
    Failure { stage: view.stage.owned(), reason: view.reason.owned() }
}

fn quality<'a, M: Line<'a>>(media: &[M]) -> Quality {
    let mut quality = Quality { media_count: count(media.len()), ..Quality::default() };
    for stream in media.iter().flat_map(Line::figures) {
        quality.stream_count = quality.stream_count.saturating_add(1);
        raise(&mut quality.max_packet_loss_rate, stream.max_packet_loss_rate.number());
        raise(&mut quality.max_packet_loss_rate, stream.average_packet_loss_rate.number());
        raise(&mut quality.max_jitter, stream.max_jitter.duration());
        raise(&mut quality.max_round_trip_time, stream.max_round_trip_time.duration());
        raise(&mut quality.max_audio_degradation, stream.average_audio_degradation.number());
    }
    quality
}

fn raise<T: PartialOrd>(worst: &mut Option<T>, figure: Option<T>) {
    if figure.is_some() && figure > *worst {
        *worst = figure;
    }
}

fn endpoint(view: &call::Endpoint<'_>) -> Endpoint {
    Endpoint {
        endpoint_type: view.type_name(),
        identity: endpoint_identity(view),
        name: view.name.owned(),
        cpu_name: view.cpu_name.owned(),
        cpu_cores_count: view.cpu_cores_count.integer(),
        cpu_processor_speed_mhz: view.cpu_processor_speed_in_mhz.integer(),
        user_agent: view.user_agent.as_ref().map(user_agent),
        feedback: view.feedback.as_ref().and_then(feedback),
    }
}

fn endpoint_identity(view: &call::Endpoint<'_>) -> Option<Identity> {
    match view.associated_identity.as_ref().filter(|identity| identity.says_who()) {
        Some(identity) => Some(named_identity(presumed_set_key(view, identity).to_owned(), identity)),
        None => identity_of_set(view.identity.as_ref()?),
    }
}

/// The set key of an `associatedIdentity`, which stands under none: the old set's, else what its members give away. Where
/// the participants name the same id, their key replaces this one.
fn presumed_set_key<'v>(view: &'v call::Endpoint<'_>, identity: &identity::Identity<'_>) -> &'v str {
    let is_user = || {
        let tag = identity.odata_type.type_name();
        identity.user_principal_name.text().is_some() || tag.is_some_and(|tag| tag.eq_ignore_ascii_case("userIdentity"))
    };
    match view.identity.as_ref().and_then(|set| set.identity.as_ref()) {
        Some((set_key, old)) if old.id.text() == identity.id.text() => set_key,
        _ if identity.id.text().is_some_and(|id| id.starts_with('+')) => "phone",
        _ if is_user() => "user",
        _ => "",
    }
}

fn user_agent(view: &call::UserAgent<'_>) -> UserAgent {
    UserAgent {
        user_agent_type: view.type_name(),
        header_value: view.header_value.owned(),
        application_version: view.application_version.owned(),
        platform: view.platform.owned(),
        product_family: view.product_family.owned(),
        role: view.role.owned(),
        azure_ad_app_id: view.azure_ad_app_id.owned(),
        communication_service_id: view.communication_service_id.owned(),
    }
}

fn feedback(view: &call::Feedback<'_>) -> Option<Feedback> {
    let tokens = view.tokens.json().filter(|json| *json != "{}").map(str::to_owned);
    let feedback = Feedback { rating: view.rating.owned(), text: view.text.owned(), tokens };
    (feedback != Feedback::default()).then_some(feedback)
}

fn texts(leaves: &[Leaf<'_>]) -> Vec<String> {
    leaves.iter().filter_map(|leaf| leaf.owned()).collect()
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
