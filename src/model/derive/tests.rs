use super::*;
use crate::model::{
    kind::Roles,
    rows::{Party, SearchField},
    time::{Age, Timestamp},
};
use proptest::prelude::{any, proptest};
use serde_json::{Value, json};

const ADA: &str = "0a0a0a0a-1111-2222-3333-444455556666";
const BEN: &str = "0b0b0b0b-1111-2222-3333-444455556666";

/// A group call as Graph writes it today: every null is there, a guest and a phone joined, one segment failed.
fn group_call() -> Value {
    let agent = json!({
        "@odata.type": "#microsoft.graph.callRecords.clientUserAgent", "headerValue": "CallSignalingAgent (27/1.0)",
        "applicationVersion": null, "platform": "macOS", "productFamily": "teams", "communicationServiceId": null, "azureADAppId": ""
    });
    let service = json!({
        "@odata.type": "#microsoft.graph.callRecords.serviceEndpoint",
        "userAgent": {"@odata.type": "#microsoft.graph.callRecords.serviceUserAgent", "headerValue": null, "applicationVersion": null, "role": "mediaController"}
    });
    let caller = |identity: Value, feedback: Value| {
        json!({
            "@odata.type": "#microsoft.graph.callRecords.participantEndpoint", "name": "LAPTOP-7", "cpuName": "Fast CPU",
            "cpuCoresCount": 8, "cpuProcessorSpeedInMhz": 2304, "userAgent": agent, "associatedIdentity": identity, "feedback": feedback
        })
    };
    let network = json!({
        "ipAddress": "10.1.2.3", "reflexiveIPAddress": "192.0.2.7", "relayIPAddress": "", "subnet": "10.1.2.0", "port": 50000,
        "macAddress": "00-11-22-33-44-55", "connectionType": "wifi", "dnsSuffix": "corp.example", "wifiVendorDriver": "Wave 22",
        "basicServiceSetIdentifier": null, "traceRouteHops": []
    });
    let media = json!([
        {
            "label": "main-audio", "callerNetwork": network, "calleeNetwork": {"connectionType": "unknown"},
            "callerDevice": {"captureDeviceName": "Headset Mic", "captureDeviceDriver": "Acme: 1.0", "renderDeviceName": ""},
            "calleeDevice": null,
            "streams": [
                {"streamId": "1", "streamDirection": "callerToCallee", "audioCodec": "satin", "videoCodec": null, "maxJitter": "PT0.016S",
                 "maxRoundTripTime": "PT0.2S", "averagePacketLossRate": 0.01, "maxPacketLossRate": 0.04, "averageAudioDegradation": "NaN"},
                {"streamId": "2", "streamDirection": "calleeToCaller", "audioCodec": "unknown", "maxJitter": "PT1.5S",
                 "maxRoundTripTime": null, "averagePacketLossRate": "0.125", "averageAudioDegradation": 0.3}
            ]
        },
        {"label": "main-video", "streams": [{"videoCodec": "h264", "maxPacketLossRate": "INF"}]}
    ]);
    let session = |id: &str, identity: Value, failure: Value, feedback: Value| {
        let caller = caller(identity, feedback);
        json!({
            "id": id, "modalities": ["audio", "video"], "startDateTime": "2026-11-02T10:00:00.5Z", "endDateTime": "0001-01-01T00:00:00Z",
            "isTest": false, "failureInfo": null, "caller": caller, "callee": service, "segments@odata.context": "c",
            "segments": [{"id": id, "startDateTime": "2026-11-02T10:00:01Z", "endDateTime": "2026-11-02T10:30:00Z",
                          "failureInfo": failure, "caller": caller, "callee": service, "media": media}]
        })
    };
    let set = |key: &str, identity: Value| {
        let mut set = json!({"endpointType": null, "acsUser": null, "phone": null, "guest": null, "application": null, "user": null});
        set[key] = identity;
        set
    };
    let ada =
        json!({"id": ADA, "displayName": "Ada Müller", "tenantId": "t", "userPrincipalName": "ada@contoso.example"});
    let feedback = json!({"rating": "poor", "text": "echo all the time", "tokens": {"Echo": true}});
    json!({
        "@odata.context": "c", "id": "rec-1", "version": 2, "type": "groupCall", "modalities": ["audio", "video"],
        "startDateTime": "2026-11-02T10:00:00Z", "endDateTime": "2026-11-02T10:30:00.0000001Z", "lastModifiedDateTime": "2026-11-02T11:00:00Z",
        "joinWebUrl": "https://teams.microsoft.com/l/meetup-join/19%3ameeting_abc%40thread.v2/0?context=%7b%7d",
        "organizer": null, "participants": [],
        "organizer_v2@odata.context": "c",
        "organizer_v2": {"id": ADA, "identity": set("user", json!({"id": ADA, "displayName": "Ada Müller", "tenantId": "t"})), "administrativeUnitInfos": []},
        "participants_v2": [
            {"id": ADA, "identity": set("user", ada.clone()), "administrativeUnitInfos": [{"id": "au"}]},
            {"id": "aa55", "identity": set("guest", json!({"id": "aa55", "displayName": null, "tenantId": null})), "administrativeUnitInfos": []},
            {"id": "+442079460018", "identity": set("phone", json!({"id": "+442079460018", "displayName": null})), "administrativeUnitInfos": []}
        ],
        "sessions": [
            session("s1", json!({"id": ADA.to_uppercase(), "displayName": "Ada Müller", "userPrincipalName": null}), Value::Null, feedback),
            session("s2", json!({"id": "aa55", "displayName": "Guest user", "tenantId": null}), json!({"stage": "midcall", "reason": null}), Value::Null),
            session("s3", json!({"id": "+442079460018"}), Value::Null, json!({"rating": null, "text": "", "tokens": {}}))
        ]
    })
}

/// A call between two as bodies of 2020 have it: old members only, no tags.
fn old_call() -> Value {
    let user =
        |id: &str, name: &str| json!({"user": {"id": id, "displayName": name, "tenantId": "t"}, "application": null});
    let endpoint = |id: &str, name: &str| json!({"userAgent": {"headerValue": "UCCAPI/16", "platform": "windows"}, "identity": user(id, name)});
    json!({
        "id": "rec-2", "version": "1", "type": "peerToPeer", "modalities": ["audio"], "startDateTime": "2020-02-25T18:52:21.2169889Z",
        "organizer": user(ADA, "Ada"), "organizer_v2": null, "participants": [user(ADA, "Ada"), user(BEN, "Ben")], "participants_v2": [],
        "sessions": [{"id": "rec-2", "caller": endpoint(ADA, "Ada"), "callee": endpoint(BEN, "Ben"), "failureInfo": {"stage": null, "reason": null}}]
    })
}

fn derived(call: &Value) -> Derived {
    super::record(&RecordKey::call(call["id"].as_str().unwrap_or("rec")), None, &call.to_string())
}

fn party<'d>(derived: &'d Derived, id: &str) -> &'d Party {
    derived.parties.iter().find(|party| party.identity.id.as_deref() == Some(id)).unwrap()
}

fn found(derived: &Derived, field: SearchField) -> Vec<&str> {
    derived.search.iter().filter(|(of, _)| *of == field).map(|(_, text)| text.as_str()).collect()
}

#[test]
fn a_records_columns_come_out_and_sentinels_are_none() {
    let Derived { record, sessions, unknown_members, .. } = derived(&group_call());
    assert_eq!(record.start, Timestamp::parse("2026-11-02T10:00:00Z"));
    assert_eq!(record.duration(), Some(Age(1_800_000_000_100)));
    assert_eq!(record.call_type.as_deref(), Some("groupCall"));
    assert_eq!(record.modalities, ["audio", "video"]);
    assert!(record.failed && record.join_web_url.is_some());
    assert_eq!((sessions.len(), sessions[0].end, sessions[0].is_test), (3, None, Some(false)));
    assert_eq!(sessions[1].segments[0].failure, Some(Failure { stage: Some("midcall".into()), reason: None }));
    assert_eq!(unknown_members, 0);
}

#[test]
fn endpoints_keep_their_types_and_what_is_empty_is_none() {
    let derived = derived(&group_call());
    let caller = derived.sessions[0].caller.as_ref().unwrap();
    assert_eq!((caller.endpoint_type.as_str(), caller.cpu_cores_count), ("participantEndpoint", Some(8)));
    let agent = caller.user_agent.as_ref().unwrap();
    assert_eq!((agent.user_agent_type.as_str(), &agent.azure_ad_app_id), ("clientUserAgent", &None));
    assert_eq!(caller.feedback.as_ref().unwrap().tokens.as_deref(), Some("{\"Echo\":true}"));
    let service = derived.sessions[0].callee.as_ref().unwrap();
    assert_eq!((service.endpoint_type.as_str(), &service.identity), ("serviceEndpoint", &None));
    assert_eq!(service.user_agent.as_ref().unwrap().role.as_deref(), Some("mediaController"));
    assert_eq!(derived.sessions[2].caller.as_ref().unwrap().feedback, None);
}

#[test]
fn quality_is_the_worst_of_all_streams() {
    let derived = derived(&group_call());
    let expected = Quality {
        media_count: 2,
        stream_count: 3,
        max_packet_loss_rate: Some(0.125),
        max_jitter: Some(Age(1_500_000_000)),
        max_round_trip_time: Some(Age(200_000_000)),
        max_audio_degradation: Some(0.3),
    };
    assert_eq!(derived.sessions[0].segments[0].quality, expected);
}

#[test]
fn everybody_is_one_party_with_all_roles_whatever_the_key_and_case_of_the_id() {
    let derived = derived(&group_call());
    let keys: Vec<_> = derived.parties.iter().map(|party| party.identity.set_key.as_str()).collect();
    assert_eq!(keys, ["user", "guest", "phone"]);
    let ada = &derived.parties[0];
    assert_eq!(ada.roles, Roles::ORGANIZER.with(Roles::PARTICIPANT).with(Roles::CALLER));
    assert_eq!(ada.identity.user_principal_name.as_deref(), Some("ada@contoso.example"));
    assert_eq!(party(&derived, "aa55").identity.display_name.as_deref(), Some("Guest user"));
    assert_eq!(derived.sessions[1].caller.as_ref().unwrap().identity.as_ref().unwrap().set_key, "guest");
}

#[test]
fn one_participant_id_for_two_people_leaves_them_two() {
    let mut call = group_call();
    call["participants_v2"][1] = json!({"id": ADA, "identity": {"user": {"id": BEN, "displayName": "Ben"}}});
    call["participants_v2"][2] = json!({"id": "only-outside", "identity": {"user": null}});
    let derived = derived(&call);
    assert_eq!(party(&derived, BEN).identity.display_name.as_deref(), Some("Ben"));
    assert_eq!(party(&derived, ADA).identity.display_name.as_deref(), Some("Ada Müller"));
    assert_eq!(party(&derived, "only-outside").roles, Roles::PARTICIPANT);
}

#[test]
fn segments_add_people_that_nobody_else_names_and_no_roles_of_others() {
    let mut call = group_call();
    call["sessions"][0]["segments"][0]["callee"] =
        json!({"associatedIdentity": {"id": BEN, "userPrincipalName": "ben@x"}});
    call["sessions"][0]["segments"][0]["caller"] = json!({"associatedIdentity": {"id": BEN}});
    call["sessions"][1]["segments"][0]["callee"] = json!({"associatedIdentity": {"id": ADA}});
    let derived = derived(&call);
    assert_eq!(party(&derived, BEN).roles, Roles::CALLER.with(Roles::CALLEE));
    assert_eq!(party(&derived, BEN).identity.set_key, "user");
    assert!(!party(&derived, ADA).roles.contains(Roles::CALLEE));
}

#[test]
fn old_members_count_where_the_new_say_nothing() {
    let old = derived(&old_call());
    assert_eq!(old.parties[0].roles, Roles::ORGANIZER.with(Roles::PARTICIPANT).with(Roles::CALLER));
    assert_eq!(old.parties[1].roles, Roles::PARTICIPANT.with(Roles::CALLEE));
    let caller = old.sessions[0].caller.as_ref().unwrap();
    assert_eq!(
        (caller.endpoint_type.as_str(), caller.identity.as_ref().unwrap().set_key.as_str()),
        ("participantEndpoint", "user")
    );
    assert!(old.record.failed, "an object with nulls is a failure all the same");

    let mut both = old_call();
    both["organizer_v2"] = json!({"id": null, "identity": {"phone": {"id": "+4989123"}}});
    both["participants_v2"] = json!([{"identity": {"robot": {"id": "r"}}}]);
    both["sessions"] = json!(null);
    let both = derived(&both);
    let keys: Vec<_> = both.parties.iter().map(|party| party.identity.set_key.as_str()).collect();
    assert_eq!(keys, ["phone", "robot"]);
}

#[test]
fn an_unknown_organizer_is_nobody() {
    let mut call = old_call();
    call["organizer"] = json!({"user": null});
    assert!(derived(&call).parties.iter().all(|party| !party.roles.contains(Roles::ORGANIZER)));
}

#[test]
fn a_search_finds_a_record_by_each_of_its_texts_once() {
    let derived = derived(&group_call());
    let found = |field| found(&derived, field);
    assert_eq!(found(SearchField::Id), ["rec-1"]);
    assert_eq!(found(SearchField::Name), ["Ada Müller", "Guest user"]);
    assert_eq!(found(SearchField::Organizer), [ADA, "Ada Müller", "ada@contoso.example"]);
    assert_eq!(found(SearchField::ParticipantId), [ADA, "aa55"]);
    assert_eq!(found(SearchField::Upn), ["ada@contoso.example"]);
    assert_eq!(found(SearchField::Phone), ["+442079460018"]);
    assert_eq!(found(SearchField::Agent), ["CallSignalingAgent (27/1.0)", "macOS", "teams", "mediaController"]);
    assert_eq!(found(SearchField::Device), ["LAPTOP-7", "Fast CPU", "Headset Mic", "Acme: 1.0"]);
    let network = ["10.1.2.3", "192.0.2.7", "10.1.2.0", "00-11-22-33-44-55", "corp.example", "Wave 22", "wifi"];
    assert_eq!(found(SearchField::Network), network);
    assert_eq!(found(SearchField::Codec), ["satin", "h264"]);
    assert_eq!((found(SearchField::Stage), found(SearchField::Reason)), (vec!["midcall"], vec![]));
    assert_eq!((found(SearchField::Type), found(SearchField::Modality)), (vec!["groupCall"], vec!["audio", "video"]));
    assert_eq!(found(SearchField::Conversation)[0], "19:meeting_abc@thread.v2");
    assert_eq!(found(SearchField::Feedback), ["echo all the time"]);
}

#[test]
fn two_names_of_one_identity_are_both_found() {
    let mut call = group_call();
    call["sessions"][0]["caller"]["associatedIdentity"]["displayName"] = json!("Ada Schmidt");
    assert_eq!(found(&derived(&call), SearchField::Name), ["Ada Müller", "Guest user", "Ada Schmidt"]);
}

#[test]
fn new_members_are_counted_and_change_nothing_else() {
    let mut call = group_call();
    let before = derived(&call);
    call["aiSummary"] = json!({"text": "x"});
    call["sessions"][0]["segments"][0]["media"][0]["streams"][0]["colour"] = json!([1, 2]);
    call["sessions"][1]["caller"]["userAgent"]["mood@odata.type"] = json!("x");
    call["sessions"][2]["caller"]["feedback"]["tokens"] = json!({});
    assert_eq!(derived(&call), Derived { unknown_members: 2, ..before });
}

#[test]
fn what_is_stepped_over_is_known_all_the_same() {
    let text = group_call().to_string();
    let (whole, of_whole) = view::read::<call::Call<'_>>(&text);
    let (stored, of_stored) = view::read::<call::Call<'_, Stored<'_>>>(&text);
    assert_eq!(of_whole, of_stored);
    let text = serde_json::to_string(&json!({"sessions": [{"segments": [{"media": [{
        "label": 1, "new": 2, "callerNetwork": {"port": 1, "new": 2, "traceRouteHops": [{"hopCount": 1, "new": 2}]},
        "calleeDevice": {"micGlitchRate": 1, "new": 2}, "streams": [{"streamId": 1, "new": 2, "maxJitter": "PT1S"}],
    }]}]}]}));
    let text = text.unwrap();
    assert_eq!(view::read::<call::Call<'_>>(&text).1, 5);
    assert_eq!(view::read::<call::Call<'_, Stored<'_>>>(&text).1, 5);
    assert_eq!(whole.unwrap().sessions.len(), stored.unwrap().sessions.len());
}

#[test]
fn sessions_that_lead_to_the_same_service_share_it() {
    let derived = derived(&group_call());
    let callees: Vec<_> = derived.sessions.iter().map(|session| session.callee.as_ref().unwrap()).collect();
    assert!(callees.len() > 1 && callees.iter().all(|callee| Arc::ptr_eq(callee, callees[0])));
    assert!(!Arc::ptr_eq(derived.sessions[0].caller.as_ref().unwrap(), derived.sessions[1].caller.as_ref().unwrap()));
}

#[test]
fn what_is_no_record_gives_an_empty_one() {
    for text in ["", "null", "[]", "7", "{", "{\"sessions\":[{\"id\":", "{}"] {
        let derived = super::record(&RecordKey::call("x"), None, text);
        assert_eq!((derived.sessions.len() < 2, derived.parties.len()), (true, 0), "{text}");
        assert_eq!(found(&derived, SearchField::Id), ["x"]);
    }
}

#[test]
fn a_text_that_rust_cannot_hold_loses_only_its_half_character() {
    let text = group_call().to_string().replace("Guest user", "Guest \\ud83d").replace("0.04", "1e999");
    let derived = super::record(&RecordKey::call("rec-1"), None, &text);
    assert_eq!(party(&derived, "aa55").identity.display_name.as_deref(), Some("Guest \u{fffd}"));
    assert_eq!(derived.sessions[0].segments[0].quality.max_packet_loss_rate, Some(0.125));
}

/// Every place in the document, as a path that `mutate` follows.
fn mutate(value: &mut Value, path: &mut impl Iterator<Item = usize>, change: &Change) {
    let (Some(at), true) = (path.next(), value.is_object() || value.is_array()) else { return change.apply(value) };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let key = members.keys().nth(at % members.len()).cloned().unwrap();
            match (change, path.size_hint().1) {
                (Change::Drop, Some(0)) => drop(members.remove(&key)),
                (Change::Rename, Some(0)) => {
                    let value = members.remove(&key).unwrap();
                    members.insert(format!("{key}V3"), value);
                }
                _ => mutate(&mut members[&key], path, change),
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            let length = elements.len();
            mutate(&mut elements[at % length], path, change);
        }
        _ => change.apply(value),
    }
}

enum Change {
    Drop,
    Rename,
    Become(Value),
}

impl Change {
    fn apply(&self, value: &mut Value) {
        match self {
            Change::Become(other) => *value = other.clone(),
            Change::Drop => *value = Value::Null,
            Change::Rename => *value = json!({"renamed": value.take()}),
        }
    }
}

proptest! {
    #[test]
    fn no_change_of_a_record_makes_it_panic(changes in proptest::collection::vec((any::<[usize; 9]>(), 0_usize..9, 0_usize..12), 1..8), cut in any::<usize>()) {
        let mut call = group_call();
        for (path, depth, kind) in changes {
            let change = match kind {
                0 => Change::Drop,
                1 => Change::Rename,
                2 => Change::Become(json!(7)),
                3 => Change::Become(json!("text")),
                4 => Change::Become(json!({"id": {"id": []}})),
                5 => Change::Become(json!([{"id": 1}, null, [[]]])),
                6 => Change::Become(json!(true)),
                7 => Change::Become(json!(-1.5e300)),
                8 => Change::Become(json!("")),
                9 => Change::Become(json!("\u{0}\u{10ffff}\"\\")),
                10 => Change::Become(json!("-P9999999999DT9999999999999999999S")),
                _ => Change::Become(json!("9999-12-31T23:59:59.9999999Z")),
            };
            mutate(&mut call, &mut path.into_iter().take(depth), &change);
        }
        let text = call.to_string();
        let whole = super::record(&RecordKey::call("x"), None, &text);
        let pretty = super::record(&RecordKey::call("x"), None, &serde_json::to_string_pretty(&call).unwrap());
        assert_eq!(whole.parties, pretty.parties);
        assert_eq!(whole.unknown_members, pretty.unknown_members);
        let cut = (0..=cut % (text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let _ = super::record(&RecordKey::call("x"), None, &text[..cut]);
    }
}
