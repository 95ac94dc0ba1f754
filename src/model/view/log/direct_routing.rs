//! `directRoutingLogRow`: calls over the organisation's own session border controllers. Source: CSDL v1.0 and beta (2026-08).

use crate::model::{
    kind::Roles,
    rows::SearchField::{Detail, Id, Name, Network, ParticipantId, Phone, Reason, Type, Upn},
    view::log::{
        Holds::{Boolean, Integer, Json, Time},
        Log, column, found,
    },
};

pub(super) const LOG: Log = Log {
    table: "direct_routing",
    columns: &[
        found("id", "id", Id),
        found("correlationId", "correlation_id", Id),
        found("callType", "call_type", Type),
        column("inviteDateTime", "invite_ns", Time),
        column("startDateTime", "start_ns", Time),
        column("endDateTime", "end_ns", Time),
        column("failureDateTime", "failure_ns", Time),
        column("duration", "duration_s", Integer),
        column("successfulCall", "successful_call", Boolean),
        column("finalSipCode", "final_sip_code", Integer),
        found("finalSipCodePhrase", "final_sip_code_phrase", Reason),
        column("callEndSubReason", "call_end_sub_reason", Integer),
        found("userId", "user_id", ParticipantId),
        found("userPrincipalName", "user_principal_name", Upn),
        found("userDisplayName", "user_display_name", Name),
        found("callerNumber", "caller_number", Phone),
        found("calleeNumber", "callee_number", Phone),
        column("mediaBypassEnabled", "media_bypass_enabled", Boolean),
        found("mediaPathLocation", "media_path_location", Detail),
        found("signalingLocation", "signaling_location", Detail),
        found("trunkFullyQualifiedDomainName", "trunk_fully_qualified_domain_name", Network),
        found("transferorCorrelationId", "transferor_correlation_id", Id),
        found("userCountryCode", "user_country_code", Detail),
        found("otherPartyCountryCode", "other_party_country_code", Detail),
        column("administrativeUnitInfos", "administrative_unit_infos", Json),
    ],
    start: &["startDateTime", "inviteDateTime", "failureDateTime"],
    end: Some("endDateTime"),
    record_type: Some("callType"),
    succeeded: Some("successfulCall"),
    numbers: &[("callerNumber", Roles::CALLER), ("calleeNumber", Roles::CALLEE)],
    natural_key: &["correlationId", "userId", "inviteDateTime", "callType", "callerNumber", "calleeNumber"],
};
