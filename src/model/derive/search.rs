//! What a text search finds: the texts of a record, field by field, each once.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::model::{
    id::RecordKey,
    kind::Roles,
    rows::{Endpoint, Failure, Identity, Record, SearchField, Session},
    view::{call, leaf::Leaf, media},
};

pub(super) fn texts<'t>(
    key: &'t RecordKey,
    call: &'t call::Call<'_, media::Stored<'_>>,
    record: &'t Record,
    named: impl Iterator<Item = (&'t Identity, Roles)>,
    sessions: &'t [Session],
) -> Vec<(SearchField, String)> {
    let mut texts = Texts::default();
    texts.add(SearchField::Id, Some(&key.id));
    texts.add_leaf(SearchField::Id, call.id);
    texts.add_record(record);
    for (identity, roles) in named {
        texts.add_identity(identity, roles);
    }
    for session in sessions {
        texts.add_session(session);
    }
    for media in call.sessions.iter().flat_map(|session| &session.segments).flat_map(|segment| &segment.media) {
        texts.add_media(media);
    }
    texts.into_found()
}

/// What a call has, as a rule.
const TEXTS_EXPECTED: usize = 56;

pub(super) struct Texts<'t> {
    seen: HashSet<(SearchField, Cow<'t, str>), RandomState>,
    found: Vec<(SearchField, String)>,
}

impl Default for Texts<'_> {
    fn default() -> Self {
        Self {
            seen: HashSet::with_capacity_and_hasher(TEXTS_EXPECTED, RandomState::default()),
            found: Vec::with_capacity(TEXTS_EXPECTED),
        }
    }
}

impl<'t> Texts<'t> {
    pub(super) fn into_found(self) -> Vec<(SearchField, String)> {
        self.found
    }

    pub(super) fn add(&mut self, field: SearchField, text: Option<&'t String>) {
        if let Some(text) = text {
            self.add_text(field, Cow::Borrowed(text));
        }
    }

    pub(super) fn add_leaf(&mut self, field: SearchField, leaf: Leaf<'t>) {
        if let Some(text) = leaf.text() {
            self.add_text(field, text);
        }
    }

    fn add_text(&mut self, field: SearchField, text: Cow<'t, str>) {
        if self.seen.insert((field, text.clone())) {
            self.found.push((field, text.into_owned()));
        }
    }

    /// Adds the name of an enum's member unless it says that nothing is known.
    fn add_known(&mut self, field: SearchField, text: Option<&'t String>) {
        self.add(field, text.filter(|text| !text.eq_ignore_ascii_case("unknown")));
    }

    fn add_record(&mut self, record: &'t Record) {
        self.add(SearchField::Type, record.call_type.as_ref());
        for modality in &record.modalities {
            self.add(SearchField::Modality, Some(modality));
        }
        if let Some(url) = &record.join_web_url {
            if let Some(thread) = thread_id(url) {
                self.add_text(SearchField::Conversation, Cow::Owned(thread));
            }
            self.add(SearchField::Conversation, Some(url));
        }
    }

    pub(super) fn add_identity(&mut self, identity: &'t Identity, roles: Roles) {
        let is_phone = identity.phone().is_some();
        let of_id = if is_phone { SearchField::Phone } else { SearchField::ParticipantId };
        for (field, text) in [
            (of_id, &identity.id),
            (SearchField::Name, &identity.display_name),
            (SearchField::Upn, &identity.user_principal_name),
        ] {
            self.add(field, text.as_ref());
            if roles.contains(Roles::ORGANIZER) {
                self.add(SearchField::Organizer, text.as_ref());
            }
        }
    }

    /// An endpoint of a segment is the session's own as a rule, and then has nothing to add.
    fn add_session(&mut self, session: &'t Session) {
        for modality in &session.modalities {
            self.add(SearchField::Modality, Some(modality));
        }
        self.add_failure(session.failure.as_ref());
        self.add_endpoint(session.caller.as_deref());
        self.add_endpoint(session.callee.as_deref());
        for segment in &session.segments {
            self.add_failure(segment.failure.as_ref());
            self.add_endpoint(segment.caller.as_deref().filter(|_| segment.caller != session.caller));
            self.add_endpoint(segment.callee.as_deref().filter(|_| segment.callee != session.callee));
        }
    }

    fn add_failure(&mut self, failure: Option<&'t Failure>) {
        let Some(failure) = failure else { return };
        self.add(SearchField::Stage, failure.stage.as_ref());
        self.add(SearchField::Reason, failure.reason.as_ref());
    }

    fn add_endpoint(&mut self, endpoint: Option<&'t Endpoint>) {
        let Some(endpoint) = endpoint else { return };
        self.add(SearchField::Device, endpoint.name.as_ref());
        self.add(SearchField::Device, endpoint.cpu_name.as_ref());
        if let Some(agent) = &endpoint.user_agent {
            self.add(SearchField::Agent, agent.header_value.as_ref());
            self.add(SearchField::Agent, agent.application_version.as_ref());
            self.add_known(SearchField::Agent, agent.platform.as_ref());
            self.add_known(SearchField::Agent, agent.product_family.as_ref());
            self.add_known(SearchField::Agent, agent.role.as_ref());
        }
        if let Some(feedback) = &endpoint.feedback {
            self.add(SearchField::Feedback, feedback.text.as_ref());
        }
    }

    fn add_media(&mut self, media: &'t media::Stored<'_>) {
        for network in [&media.caller_network, &media.callee_network].into_iter().flatten() {
            self.add_network(network);
        }
        for device in [&media.caller_device, &media.callee_device].into_iter().flatten() {
            self.add_leaf(SearchField::Device, device.capture_device_name);
            self.add_leaf(SearchField::Device, device.capture_device_driver);
            self.add_leaf(SearchField::Device, device.render_device_name);
            self.add_leaf(SearchField::Device, device.render_device_driver);
        }
        for stream in &media.streams {
            for codec in [stream.audio_codec, stream.video_codec] {
                let is_codec = |text: &str| !["unknown", "invalid"].iter().any(|none| text.eq_ignore_ascii_case(none));
                if let Some(text) = codec.text().filter(|text| is_codec(text)) {
                    self.add_text(SearchField::Codec, text);
                }
            }
        }
    }

    fn add_network(&mut self, network: &media::StoredNetwork<'t>) {
        for leaf in [
            network.ip_address,
            network.reflexive_ip_address,
            network.relay_ip_address,
            network.subnet,
            network.mac_address,
            network.basic_service_set_identifier,
            network.dns_suffix,
            network.wifi_vendor_driver,
            network.wifi_microsoft_driver,
        ] {
            self.add_leaf(SearchField::Network, leaf);
        }
        if let Some(text) = network.connection_type.text().filter(|text| !text.eq_ignore_ascii_case("unknown")) {
            self.add_text(SearchField::Network, text);
        }
    }
}

/// The conversation's id in a join URL: `…/meetup-join/19%3ameeting_…%40thread.v2/0?context=…` names `19:meeting_…@thread.v2`.
/// URLs that passed through another program may be encoded twice.
fn thread_id(url: &str) -> Option<String> {
    let plain = percent_decoded(&percent_decoded(url));
    let start = plain.find("19:")?;
    let id = plain[start..].split(['/', '?', '&', '"', ' ']).next()?;
    id.contains('@').then(|| id.to_owned())
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|code| *first == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_id_is_read_out_of_join_urls() {
        let cases = [
            (
                "https://teams.microsoft.com/l/meetup-join/19%3ameeting_Mjc%40thread.v2/0?context=%7b%22Tid%22%3a%22d%22%7d",
                Some("19:meeting_Mjc@thread.v2"),
            ),
            ("https://teams.microsoft.com/l/meetup-join/19:meeting_Mjc@thread.v2/0", Some("19:meeting_Mjc@thread.v2")),
            ("https://x/?u=19%253Ameeting_a%2540thread.tacv2%252F1", Some("19:meeting_a@thread.tacv2")),
            ("https://teams.microsoft.com/meet/2190:3?p=19:x", None),
            ("%", None),
            ("%zz%4", None),
            ("19:%ff%40", Some("19:\u{fffd}@")),
        ];
        for (url, expected) in cases {
            assert_eq!(thread_id(url).as_deref(), expected, "{url}");
        }
    }
}
