//! Views of a call record: the record itself, its sessions and segments, and the endpoints at both ends of them.

use crate::model::view::{
    identity::{Identity, IdentitySet, Participant},
    leaf::Leaf,
    media::Media,
    view,
};

view! {
    /// `callRecord`. `organizer` and `participants` are the old members, from which data vanished in 2026.
    pub struct Call<'a, M = Media<'a>> {
        id: Leaf<'a> = "id",
        version: Leaf<'a> = "version",
        call_type: Leaf<'a> = "type",
        modalities: Vec<Leaf<'a>> = "modalities",
        start: Leaf<'a> = "startDateTime",
        end: Leaf<'a> = "endDateTime",
        last_modified: Leaf<'a> = "lastModifiedDateTime",
        join_web_url: Leaf<'a> = "joinWebUrl",
        organizer_v2: Option<Participant<'a>> = "organizer_v2",
        participants_v2: Vec<Participant<'a>> = "participants_v2",
        organizer: Option<IdentitySet<'a>> = "organizer",
        participants: Vec<IdentitySet<'a>> = "participants",
        sessions: Vec<Session<'a, M>> = "sessions",
    }
}

view! {
    pub struct Session<'a, M = Media<'a>> {
        /// Unique inside the record.
        id: Leaf<'a> = "id",
        start: Leaf<'a> = "startDateTime",
        end: Leaf<'a> = "endDateTime",
        modalities: Vec<Leaf<'a>> = "modalities",
        is_test: Leaf<'a> = "isTest",
        failure_info: Option<FailureInfo<'a>> = "failureInfo",
        caller: Option<Endpoint<'a>> = "caller",
        callee: Option<Endpoint<'a>> = "callee",
        segments: Vec<Segment<'a, M>> = "segments",
    }
}

view! {
    pub struct Segment<'a, M = Media<'a>> {
        /// Repeats the session's id as a rule.
        id: Leaf<'a> = "id",
        start: Leaf<'a> = "startDateTime",
        end: Leaf<'a> = "endDateTime",
        failure_info: Option<FailureInfo<'a>> = "failureInfo",
        caller: Option<Endpoint<'a>> = "caller",
        callee: Option<Endpoint<'a>> = "callee",
        media: Vec<M> = "media",
    }
}

view! {
    /// `failureInfo`; an object means a failure, even when both members are null.
    pub struct FailureInfo<'a> {
        stage: Leaf<'a> = "stage",
        reason: Leaf<'a> = "reason",
    }
}

view! {
    /// `endpoint`, `participantEndpoint` and `serviceEndpoint` in one.
    pub struct Endpoint<'a> {
        odata_type: Leaf<'a> = "@odata.type",
        user_agent: Option<UserAgent<'a>> = "userAgent",
        associated_identity: Option<Identity<'a>> = "associatedIdentity",
        /// The old member.
        identity: Option<IdentitySet<'a>> = "identity",
        name: Leaf<'a> = "name",
        cpu_name: Leaf<'a> = "cpuName",
        cpu_cores_count: Leaf<'a> = "cpuCoresCount",
        cpu_processor_speed_in_mhz: Leaf<'a> = "cpuProcessorSpeedInMhz",
        feedback: Option<Feedback<'a>> = "feedback",
    }
}

impl Endpoint<'_> {
    /// `participantEndpoint`, `serviceEndpoint`, or the name of a type added later.
    #[must_use]
    pub fn type_name(&self) -> String {
        let has_participant = self.associated_identity.is_some() || self.identity.is_some() || self.feedback.is_some();
        let by_members = || match self {
            _ if has_participant || self.name.is_present() || self.cpu_name.is_present() => "participantEndpoint",
            _ => "serviceEndpoint",
        };
        known_type(self.odata_type, "endpoint", &["participantEndpoint", "serviceEndpoint"], by_members)
    }
}

view! {
    /// `clientUserAgent` and `serviceUserAgent` in one; either stands in either kind of endpoint.
    pub struct UserAgent<'a> {
        odata_type: Leaf<'a> = "@odata.type",
        header_value: Leaf<'a> = "headerValue",
        application_version: Leaf<'a> = "applicationVersion",
        platform: Leaf<'a> = "platform",
        product_family: Leaf<'a> = "productFamily",
        azure_ad_app_id: Leaf<'a> = "azureADAppId",
        communication_service_id: Leaf<'a> = "communicationServiceId",
        role: Leaf<'a> = "role",
    }
}

impl UserAgent<'_> {
    /// `clientUserAgent`, `serviceUserAgent`, or the name of a type added later; empty where nothing tells.
    #[must_use]
    pub fn type_name(&self) -> String {
        let by_members = || match self {
            _ if self.platform.is_present() || self.product_family.is_present() => "clientUserAgent",
            _ if self.role.is_present() => "serviceUserAgent",
            _ => "",
        };
        known_type(self.odata_type, "userAgent", &["clientUserAgent", "serviceUserAgent"], by_members)
    }
}

view! {
    pub struct Feedback<'a> {
        rating: Leaf<'a> = "rating",
        text: Leaf<'a> = "text",
        /// An open set of booleans, whole.
        tokens: Leaf<'a> = "tokens",
    }
}

/// The type that a tag names, in the documented spelling where it is a documented one; told by the members where the tag is
/// missing or only names the `base` type.
fn known_type(tag: Leaf<'_>, base: &str, documented: &[&str], by_members: impl Fn() -> &'static str) -> String {
    match tag.type_name() {
        Some(name) if !name.eq_ignore_ascii_case(base) => {
            let known = documented.iter().find(|known| name.eq_ignore_ascii_case(known));
            known.map_or_else(|| name.into_owned(), |known| (*known).to_owned())
        }
        _ => by_members().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::view::read;

    #[test]
    fn an_endpoints_type_comes_from_its_tag_and_else_from_its_members() {
        let cases = [
            (r##"{"@odata.type":"#microsoft.graph.callRecords.serviceEndpoint","name":"x"}"##, "serviceEndpoint"),
            (r#"{"@odata.type":"Microsoft.Graph.CallRecords.ParticipantEndpoint"}"#, "participantEndpoint"),
            (r##"{"@odata.type":"#microsoft.graph.callRecords.endpoint","userAgent":{}}"##, "serviceEndpoint"),
            (r##"{"@odata.type":"#microsoft.graph.callRecords.robotEndpoint"}"##, "robotEndpoint"),
            (r#"{"userAgent":{"platform":"web"}}"#, "serviceEndpoint"),
            (r#"{"userAgent":null,"name":null}"#, "participantEndpoint"),
            (r#"{"identity":{}}"#, "participantEndpoint"),
            (r#"{"@odata.type":7,"feedback":{}}"#, "7"),
        ];
        for (text, expected) in cases {
            assert_eq!(read::<Endpoint>(text).0.unwrap().type_name(), expected, "{text}");
        }
    }

    #[test]
    fn a_user_agents_type_comes_from_its_tag_and_else_from_its_members() {
        let cases = [
            (r##"{"@odata.type":"#microsoft.graph.callRecords.clientUserAgent","role":"gateway"}"##, "clientUserAgent"),
            (r#"{"platform":"unknown"}"#, "clientUserAgent"),
            (r##"{"@odata.type":"#microsoft.graph.callRecords.userAgent","role":"gateway"}"##, "serviceUserAgent"),
            (r#"{"headerValue":"x"}"#, ""),
        ];
        for (text, expected) in cases {
            assert_eq!(read::<UserAgent>(text).0.unwrap().type_name(), expected, "{text}");
        }
    }
}
