//! Writes records as Graph does: the members of the reference, their usual order, its nulls and its empty texts.
//!
//! Only text is made here; what is true stands in [`World`]. Contexts name Graph's public host and not this server's, so that
//! the bytes of a record depend on the seed alone.

#![expect(clippy::similar_names, reason = "caller and callee are Graph's words")]

use crate::{
    model::time::Timestamp,
    simulate::{
        World,
        call::{Call, Edition, Lines, Party, Session, Shape},
        dice::{Dice, mix_text},
        equipment::user_agents,
        identity,
        json::Json,
        media,
        people::TENANT_ID,
        planted::{Planted, PlantedVersion},
    },
};

const CONTEXT: &str = "https://graph.microsoft.com/v1.0/$metadata#communications/callRecords";

/// What a request asked of the spelling.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prefer {
    /// `include-unknown-enum-members`: without it members added later come as `unknownFutureValue`.
    pub(super) unknown_enum_members: bool,
}

/// A record's own members, of a generated or a planted call.
#[derive(Debug)]
pub(super) struct Header {
    id: String,
    version: i64,
    call_type: String,
    modalities: String,
    last_modified: Timestamp,
    start: Timestamp,
    end: Timestamp,
    join_web_url: String,
    organizer: String,
    /// Members that no schema lists.
    extra_members: String,
}

/// The members that `$select` may name.
pub(super) const SELECTABLE: [&str; 13] = [
    "id",
    "version",
    "type",
    "modalities",
    "lastModifiedDateTime",
    "startDateTime",
    "endDateTime",
    "joinWebUrl",
    "organizer",
    "organizer_v2",
    "participants",
    "participants_v2",
    "sessions",
];

impl Header {
    pub(super) fn generated(world: &World, call: &Call, edition: &Edition) -> Self {
        let organizer = match world.organizer(call) {
            Some(party) => Json::new_with(|json| identity::participant(json, world, party, call.start)),
            None => "null".to_owned(),
        };
        Self {
            id: call.id.clone(),
            version: edition.version,
            call_type: call.type_name().to_owned(),
            modalities: Json::new_with(|json| modalities(json, call.lines)),
            last_modified: edition.last_modified,
            start: call.start,
            end: call.end,
            join_web_url: join_web_url(world, call),
            organizer,
            extra_members: unlisted_members(call),
        }
    }

    pub(super) fn planted(planted: &Planted, version: &PlantedVersion) -> Self {
        Self {
            id: planted.id.clone(),
            version: version.version,
            call_type: planted.call_type.clone(),
            modalities: "[\"audio\"]".to_owned(),
            last_modified: version.last_modified,
            start: planted.start,
            end: planted.end,
            join_web_url: "null".to_owned(),
            organizer: planted.organizer.clone(),
            extra_members: version.extra_members.clone(),
        }
    }

    /// The record as it stands in a list: no sessions, and `participants` empty.
    pub(super) fn list_item(&self, json: &mut Json, select: Option<&[String]>) {
        json.raw("{\"id\":").text(&self.id);
        self.plain_members(json, select);
        if wanted(select, "participants") {
            json.raw(",\"participants\":[]");
        }
        self.organizer_member(json);
        json.raw("}");
    }

    /// The start of the record as it is got by itself: all members but the expanded, the brace still open.
    pub(super) fn open_record(&self, json: &mut Json, expanded: &str, select: Option<&[String]>) {
        json.raw("{\"@odata.context\":\"").raw(CONTEXT).raw(expanded).raw("/$entity\",\"id\":").text(&self.id);
        self.plain_members(json, select);
        self.organizer_member(json);
    }

    /// What comes before the expanded participants, or stands alone when they are not.
    pub(super) fn participants_context(&self, json: &mut Json) {
        json.raw(",\"participants_v2@odata.context\":\"")
            .raw(CONTEXT)
            .raw("('")
            .raw(&self.id)
            .raw("')/participants_v2\"");
    }

    pub(super) fn sessions_context(&self, json: &mut Json, with_segments: bool) {
        json.raw(",\"sessions@odata.context\":\"").raw(CONTEXT).raw("('").raw(&self.id).raw("')/sessions");
        json.raw(if with_segments { "(segments())\"" } else { "\"" });
    }

    fn plain_members(&self, json: &mut Json, select: Option<&[String]>) {
        let mut member = |name: &str, write: &dyn Fn(&mut Json)| {
            if wanted(select, name) {
                json.raw(",\"").raw(name).raw("\":");
                write(json);
            }
        };
        member("version", &|json| _ = json.show(self.version));
        member("type", &|json| _ = json.text(&self.call_type));
        member("modalities", &|json| _ = json.raw(&self.modalities));
        member("lastModifiedDateTime", &|json| _ = json.time(self.last_modified));
        member("startDateTime", &|json| _ = json.time(self.start));
        member("endDateTime", &|json| _ = json.time(self.end));
        member("joinWebUrl", &|json| _ = json.raw(&self.join_web_url));
        if select.is_none() && !self.extra_members.is_empty() {
            json.raw(",").raw(&self.extra_members);
        }
    }

    /// Expanded by itself, whatever is selected.
    fn organizer_member(&self, json: &mut Json) {
        json.raw(",\"organizer_v2@odata.context\":\"")
            .raw(CONTEXT)
            .raw("('")
            .raw(&self.id)
            .raw("')/organizer_v2/$entity\"");
        json.raw(",\"organizer_v2\":").raw(&self.organizer);
    }
}

/// Whether a member is to be written.
fn wanted(select: Option<&[String]>, name: &str) -> bool {
    select.is_none_or(|select| select.iter().any(|selected| selected == name))
}

/// The context of a page of sessions or participants.
pub(super) fn page_context(json: &mut Json, id: &str, what: &str) {
    json.raw("\"@odata.context\":\"").raw(CONTEXT).raw("('").raw(id).raw("')/").raw(what).raw("\"");
}

pub(super) fn list_context(json: &mut Json) {
    json.raw("\"@odata.context\":\"").raw(CONTEXT).raw("\"");
}

/// A session; without segments when these are not asked for.
pub(super) fn session(
    json: &mut Json,
    world: &World,
    call_id: &str,
    session: &Session,
    with_segments: bool,
    prefer: Prefer,
) {
    let mut dice = Dice::of(session.seed, &[1]);
    let failure = Json::new_with(|json| failure(json, session));
    let caller = Json::new_with(|json| endpoint(json, world, (Some(session.caller), session.start), &mut dice, prefer));
    let callee = Json::new_with(|json| endpoint(json, world, (session.callee, session.start), &mut dice, prefer));
    json.raw("{\"id\":").text(&session.id).raw(",\"modalities\":");
    modalities(json, session.lines);
    times(json, session.start, session.end);
    json.raw(",\"isTest\":false,\"failureInfo\":").raw(&failure).raw(",\"caller\":").raw(&caller);
    json.raw(",\"callee\":").raw(&callee);
    if dice.chance(0.02) {
        json.raw(",\"networkQualityHint\":{\"score\":").show(dice.below(5)).raw(",\"source\":\"service\"}");
    }
    if with_segments {
        json.raw(",\"segments@odata.context\":\"").raw(CONTEXT).raw("('").raw(call_id).raw("')/sessions('");
        json.raw(&session.id).raw("')/segments\",\"segments\":[");
        json.list(0..session.segments, |json, place| {
            segment(json, world, session, place, [&failure, &caller, &callee]);
        });
        json.raw("]");
    }
    json.raw("}");
}

/// One segment repeats the session. Two are a call to or from the telephone network: each end talks to a gateway.
fn segment(json: &mut Json, world: &World, session: &Session, place: u64, [failure, caller, callee]: [&str; 3]) {
    let last = place + 1 == session.segments;
    json.raw("{\"id\":");
    if session.segments == 1 {
        json.text(&session.id);
    } else {
        json.text(&Dice::of(session.seed, &[2, place]).guid());
    }
    times(json, session.start, session.end);
    json.raw(",\"failureInfo\":").raw(if last { failure } else { "null" });
    json.raw(",\"caller\":").raw(if place == 0 { caller } else { GATEWAY });
    json.raw(",\"callee\":").raw(if last { callee } else { GATEWAY });
    json.raw(",\"media\":[");
    if !session.without_media {
        let ends = [Some(session.caller).filter(|_| place == 0), session.callee.filter(|_| last)];
        media::media(json, world, session, ends, place);
    }
    json.raw("]}");
}

const SERVICE: &str = concat!(
    "{\"@odata.type\":\"#microsoft.graph.callRecords.serviceEndpoint\",\"userAgent\":{",
    "\"@odata.type\":\"#microsoft.graph.callRecords.clientUserAgent\",\"headerValue\":null,\"applicationVersion\":null,",
    "\"platform\":\"unknown\",\"productFamily\":\"unknown\",\"communicationServiceId\":null,\"azureADAppId\":null}}"
);
const GATEWAY: &str = concat!(
    "{\"@odata.type\":\"#microsoft.graph.callRecords.serviceEndpoint\",\"userAgent\":{",
    "\"@odata.type\":\"#microsoft.graph.callRecords.serviceUserAgent\",\"headerValue\":null,\"applicationVersion\":null,",
    "\"role\":\"mediationServer\"}}"
);

/// One end of a session, named as at the time it was joined.
fn endpoint(json: &mut Json, world: &World, end: (Option<Party>, Timestamp), dice: &mut Dice, prefer: Prefer) {
    let (party, at) = end;
    let Some(party) = party else {
        json.raw(SERVICE);
        return;
    };
    json.raw("{\"@odata.type\":\"#microsoft.graph.callRecords.participantEndpoint\"");
    let platform = machine(json, world, party, dice);
    json.raw(",\"userAgent\":{\"@odata.type\":\"#microsoft.graph.callRecords.clientUserAgent\",\"headerValue\":");
    match platform {
        Some(platform) => json.text(dice.pick::<&str>(user_agents(platform))),
        None => json.raw("null"),
    };
    json.raw(",\"applicationVersion\":null,\"platform\":");
    json.text(match platform {
        Some("visionOS") if !prefer.unknown_enum_members => "unknownFutureValue",
        Some(platform) => platform,
        None => "unknown",
    });
    json.raw(",\"productFamily\":").text(match party {
        Party::AcsUser(_) if prefer.unknown_enum_members => "azureCommunicationServices",
        Party::AcsUser(_) => "unknownFutureValue",
        Party::Phone(_) | Party::Queue(_) => "unknown",
        Party::User(_) | Party::Guest(_) | Party::External(_) => "teams",
    });
    json.raw(",\"communicationServiceId\":null,\"azureADAppId\":null},\"associatedIdentity\":");
    identity::identity(json, world, party, at);
    json.raw(",\"feedback\":");
    feedback(json, dice);
    json.raw("}");
}

/// Writes name and processor of the machine; tells its platform. Telephones and applications have none.
fn machine(json: &mut Json, world: &World, party: Party, dice: &mut Dice) -> Option<&'static str> {
    if let Party::User(place) = party {
        let equipment = &world.people()[place].equipment;
        if matches!(equipment.platform, "windows" | "macOS") {
            let cpu = equipment.cpu;
            json.raw(",\"name\":").text(&equipment.machine).raw(",\"cpuName\":").text(cpu.name);
            json.raw(",\"cpuCoresCount\":").show(cpu.cores).raw(",\"cpuProcessorSpeedInMhz\":").show(cpu.mhz);
            return Some(equipment.platform);
        }
    }
    json.raw(",\"name\":null,\"cpuName\":null,\"cpuCoresCount\":null,\"cpuProcessorSpeedInMhz\":null");
    match party {
        Party::User(place) => Some(world.people()[place].equipment.platform),
        Party::Phone(_) | Party::Queue(_) => None,
        Party::Guest(_) | Party::AcsUser(_) => Some("web"),
        Party::External(_) => Some(if dice.chance(0.8) { "windows" } else { "iOS" }),
    }
}

fn feedback(json: &mut Json, dice: &mut Dice) {
    let (rating, text, tokens) = match dice.below(200) {
        0..150 => ("notRated", None, "{}"),
        150..180 => {
            json.raw("null");
            return;
        }
        180..190 => ("excellent", None, "{}"),
        190..196 => ("good", None, "{}"),
        196..198 => ("fair", None, "{\"Echo\":false,\"Noisy\":true,\"LowVolume\":false}"),
        198 => (
            "poor",
            Some("Der Ton war \"abgehackt\", dann weg."),
            "{\"Interruptions\":true,\"DistortedSound\":true,\"NoSound\":false}",
        ),
        _ => (
            "bad",
            Some("could not hear anybody\nfor ten minutes"),
            "{\"NoSound\":true,\"OtherNoSound\":false,\"Stopped\":true}",
        ),
    };
    json.raw("{\"text\":").text_or_null(text).raw(",\"rating\":").text(rating).raw(",\"tokens\":").raw(tokens).raw("}");
}

fn failure(json: &mut Json, session: &Session) {
    match session.failure {
        Some(failure) => {
            json.raw("{\"stage\":").text(failure.stage).raw(",\"reason\":").text_or_null(failure.reason).raw("}")
        }
        None => json.raw("null"),
    };
}

fn times(json: &mut Json, start: Timestamp, end: Timestamp) {
    json.raw(",\"startDateTime\":").time(start).raw(",\"endDateTime\":").time(end);
}

fn modalities(json: &mut Json, lines: Lines) {
    json.raw("[\"audio\"");
    for (used, name) in [
        (lines.video, ",\"video\""),
        (lines.sharing, ",\"videoBasedScreenSharing\",\"screenSharing\""),
        (lines.data, ",\"data\""),
    ] {
        if used {
            json.raw(name);
        }
    }
    json.raw("]");
}

/// Meetings have a link, ad hoc group calls none; calls of two have null or nothing but quotes.
fn join_web_url(world: &World, call: &Call) -> String {
    let mut dice = Dice::of(mix_text(&call.id), &[3]);
    match (call.shape, world.organizer(call)) {
        (Shape::Group { grown: false }, Some(organizer)) => {
            // A series has one link; each occurrence is a call of its own.
            let mut thread = Dice::of(mix_text(&world.id_of(organizer)), &[dice.below(6)]);
            format!(
                "\"https://teams.microsoft.com/l/meetup-join/19%3ameeting_{}%40thread.v2/0?context=%7b%22Tid%22%3a%22{TENANT_ID}%22%2c%22Oid%22%3a%22{}%22%7d\"",
                thread.hex(),
                world.id_of(organizer)
            )
        }
        _ if dice.chance(0.2) => "\"\"".to_owned(),
        _ => "null".to_owned(),
    }
}

/// Now and then a member that no schema knows, with numbers that a careless reader would round.
fn unlisted_members(call: &Call) -> String {
    let mut dice = Dice::of(mix_text(&call.id), &[4]);
    match dice.below(50) {
        0 => "\"callCategory\":\"standard\",\"isPreview\":false".to_owned(),
        1 => format!(
            "\"serviceDiagnostics\":{{\"weight\":1e-7,\"offset\":-0.0,\"sequence\":9007199254740993,\"shard\":{}}}",
            dice.below(64)
        ),
        _ => String::new(),
    }
}
