//! How Graph names people: flat in endpoints, as a set with one key filled in participants.

use std::borrow::Cow;

use crate::{
    model::time::Timestamp,
    simulate::{
        World,
        call::Party,
        dice::Dice,
        json::Json,
        people::{self, TENANT_ID},
    },
};

/// A participant, or the organizer, which is one by its members; under the names of the time `at`.
pub(super) fn participant(json: &mut Json, world: &World, party: Party, at: Timestamp) {
    json.raw("{\"id\":").text(&world.id_of(party)).raw(",\"identity\":");
    identity_set(json, world, party, at);
    match party {
        Party::User(place) => json
            .raw(",\"administrativeUnitInfos\":[{\"id\":\"")
            .raw(&world.people()[place].administrative_unit)
            .raw("\"}]}"),
        _ => json.raw(",\"administrativeUnitInfos\":[]}"),
    };
}

/// The flat identity of an endpoint.
pub(super) fn identity(json: &mut Json, world: &World, party: Party, at: Timestamp) {
    if let Party::User(place) = party {
        json.raw(&user_identity(world, place, at));
        return;
    }
    let (name, tenant) = named(world, party);
    json.raw("{\"id\":").text(&world.id_of(party)).raw(",\"displayName\":").text_or_null(name.as_deref());
    json.raw(",\"tenantId\":").text_or_null(tenant.as_deref()).raw(",\"userPrincipalName\":null}");
}

/// The identity of somebody of ours, made once unless he was renamed.
fn user_identity(world: &World, place: usize, at: Timestamp) -> Cow<'_, str> {
    let person = &world.people()[place];
    if !world.is_changed(place, at) {
        return Cow::Borrowed(&person.identity);
    }
    let (name, upn) = world.named_at(place, at);
    Cow::Owned(people::identity(&person.id, &name, &upn))
}

/// Display name and tenant as far as Graph gives them out.
fn named(world: &World, party: Party) -> (Option<String>, Option<String>) {
    match party {
        Party::User(place) => (Some(world.people()[place].name.clone()), Some(TENANT_ID.to_owned())),
        Party::Guest(number) if number % 3 == 0 => (None, None),
        Party::Guest(number) if number % 3 == 1 => (Some("Guest user".to_owned()), None),
        Party::Guest(number) => (Some(format!("{} (Guest)", people::guest_name(world.seed(), number))), None),
        Party::External(number) => {
            (Some("External user".to_owned()), Some(Dice::of(world.seed(), &[0x7e9, number / 10]).guid()))
        }
        Party::Queue(_) => (None, Some(TENANT_ID.to_owned())),
        Party::Phone(_) | Party::AcsUser(_) => (None, None),
    }
}

/// The keys of an identity set in Graph's order; one of them holds the identity.
const IDENTITY_KEYS: [&str; 14] = [
    "acsUser",
    "spoolUser",
    "phone",
    "guest",
    "encrypted",
    "onPremises",
    "acsApplicationInstance",
    "spoolApplicationInstance",
    "applicationInstance",
    "application",
    "device",
    "azureCommunicationServicesUser",
    "assertedIdentity",
    "user",
];

fn identity_set(json: &mut Json, world: &World, party: Party, at: Timestamp) {
    let key = match party {
        Party::User(_) | Party::External(_) => "user",
        Party::Phone(_) => "phone",
        Party::Guest(_) => "guest",
        Party::Queue(_) => "applicationInstance",
        Party::AcsUser(_) => "azureCommunicationServicesUser",
    };
    json.raw("{\"endpointType\":null");
    for name in IDENTITY_KEYS {
        json.raw(",\"").raw(name);
        if name != key {
            json.raw("\":null");
            continue;
        }
        json.raw("\":");
        if let Party::User(place) = party {
            json.raw("{\"@odata.type\":\"#microsoft.graph.userIdentity\",");
            json.raw(user_identity(world, place, at).trim_start_matches('{'));
        } else {
            let (shown, tenant) = named(world, party);
            json.raw("{\"id\":").text(&world.id_of(party)).raw(",\"displayName\":").text_or_null(shown.as_deref());
            json.raw(",\"tenantId\":").text_or_null(tenant.as_deref()).raw("}");
        }
    }
    json.raw("}");
}
