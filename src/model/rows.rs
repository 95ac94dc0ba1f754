//! The derived columns as structs: what `model::derive` makes of a document, the archive stores as rows and the search index
//! reads. Texts that Graph may extend stay text; every member may be missing.

use std::sync::Arc;

use crate::model::{
    kind::Roles,
    time::{Age, Timestamp},
};

/// Raised whenever derivation changes, so that archives make their rows again.
pub const DERIVE_VERSION: i64 = 7;

/// Everything derived from one version of one record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Derived {
    pub record: Record,
    /// Everybody who took part, each identity once with all its roles; the organizer, where known, first.
    pub parties: Vec<Party>,
    pub sessions: Vec<Session>,
    /// Of a row of a log, its own columns, in the order of its description.
    pub log: Vec<LogValue>,
    /// Of somebody of the directory, what this version says of them.
    pub person: Option<Saying>,
    /// What a text search finds, field by field.
    pub search: Vec<(SearchField, String)>,
    /// Members that no documented type has, counted over the whole document.
    pub unknown_members: u32,
}

/// A column of a row of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogValue {
    Null,
    Integer(i64),
    Text(String),
}

/// What one version says of somebody of the directory: of what changed alone, as a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// When the answer that says it was in.
    pub seen: Timestamp,
    /// The object id.
    pub id: Option<String>,
    /// The members that stand in it, be it as null.
    pub members: Vec<PersonMember>,
    /// Why they are in the directory no more: `changed` (deleted, and may come back) or `deleted` (for good).
    pub removed: Option<String>,
}

/// A member of a user and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonMember {
    DisplayName(Option<String>),
    UserPrincipalName(Option<String>),
    Mail(Option<String>),
    OtherMails(Vec<String>),
    Department(Option<String>),
    BusinessPhones(Vec<String>),
    MobilePhone(Option<String>),
    AccountEnabled(Option<bool>),
}

/// Somebody of the directory as known since `seen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub seen: Timestamp,
    pub id: Option<String>,
    pub display_name: Option<String>,
    pub user_principal_name: Option<String>,
    pub mail: Option<String>,
    pub other_mails: Vec<String>,
    pub department: Option<String>,
    pub business_phones: Vec<String>,
    pub mobile_phone: Option<String>,
    pub account_enabled: Option<bool>,
    /// As in [`Saying`]; a version without it says that they are there.
    pub removed: Option<String>,
}

/// The record's own columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub last_modified: Option<Timestamp>,
    pub call_type: Option<String>,
    pub modalities: Vec<String>,
    pub join_web_url: Option<String>,
    /// Whether any session or segment has a `failureInfo` that is not null.
    pub failed: bool,
}

impl Record {
    /// From start to end; `None` when either is unknown.
    #[must_use]
    pub fn duration(&self) -> Option<Age> {
        Some(self.end? - self.start?)
    }
}

/// Somebody (or something) as one identity set names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The key of the identity set under which it stood: `user`, `phone`, `guest`, `applicationInstance`, …
    pub set_key: String,
    pub id: Option<String>,
    pub display_name: Option<String>,
    pub user_principal_name: Option<String>,
    pub tenant_id: Option<String>,
}

impl Identity {
    /// The phone number, where the identity is one: E.164 as Graph sent it.
    #[must_use]
    pub fn phone(&self) -> Option<&str> {
        let id = self.id.as_deref()?;
        (self.set_key == "phone" || id.starts_with('+')).then_some(id)
    }
}

/// An identity and how it took part. When it was there follows from the sessions where it is caller or callee.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    pub identity: Identity,
    pub roles: Roles,
}

/// Its ends are shared with its segments, which have the same as a rule: an endpoint is a dozen texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    pub id: Option<String>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub modalities: Vec<String>,
    pub is_test: Option<bool>,
    pub failure: Option<Failure>,
    pub caller: Option<Arc<Endpoint>>,
    pub callee: Option<Arc<Endpoint>>,
    pub segments: Vec<Segment>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    pub id: Option<String>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub failure: Option<Failure>,
    pub caller: Option<Arc<Endpoint>>,
    pub callee: Option<Arc<Endpoint>>,
    pub quality: Quality,
}

/// A `failureInfo` that is not null; both members may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Failure {
    pub stage: Option<String>,
    pub reason: Option<String>,
}

/// The worst of a segment's streams, and how much of them there is. Rates are fractions, 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    pub media_count: u32,
    pub stream_count: u32,
    pub max_packet_loss_rate: Option<f64>,
    pub max_jitter: Option<Age>,
    pub max_round_trip_time: Option<Age>,
    pub max_audio_degradation: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Last part of `@odata.type`, `participantEndpoint` or `serviceEndpoint`; told by its members where the tag is missing.
    pub endpoint_type: String,
    pub identity: Option<Identity>,
    pub name: Option<String>,
    pub cpu_name: Option<String>,
    pub cpu_cores_count: Option<i64>,
    pub cpu_processor_speed_mhz: Option<i64>,
    pub user_agent: Option<UserAgent>,
    pub feedback: Option<Feedback>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserAgent {
    /// Last part of `@odata.type`: `clientUserAgent` or `serviceUserAgent`.
    pub user_agent_type: String,
    pub header_value: Option<String>,
    pub application_version: Option<String>,
    pub platform: Option<String>,
    pub product_family: Option<String>,
    pub role: Option<String>,
    pub azure_ad_app_id: Option<String>,
    pub communication_service_id: Option<String>,
}

/// What a user said of the call; `tokens` is Graph's open set as JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Feedback {
    pub rating: Option<String>,
    pub text: Option<String>,
    pub tokens: Option<String>,
}

/// The fields of the text index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchField {
    /// Display name of anybody in the record.
    Name,
    /// Display name, UPN, id or number of the organizer.
    Organizer,
    /// Id of anybody in the record (object id, guest id, application id).
    ParticipantId,
    /// User principal name or mail.
    Upn,
    /// Phone number.
    Phone,
    /// The record's own id.
    Id,
    /// User agent header, platform, product family.
    Agent,
    /// Machine, processor, microphone, loudspeaker, camera and their drivers.
    Device,
    /// Addresses, subnets, DNS suffix, access point, connection type, drivers of the network.
    Network,
    /// Audio and video codecs.
    Codec,
    /// `failureInfo.stage`.
    Stage,
    /// `failureInfo.reason`.
    Reason,
    /// Call type.
    Type,
    /// Modality.
    Modality,
    /// Conversation (thread) id out of the join URL, and the URL itself.
    Conversation,
    /// Words that a user wrote as feedback.
    Feedback,
    /// What else a row of a log says: countries, operator, licence, data centres, currency.
    Detail,
}
