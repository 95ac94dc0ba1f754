//! `pstnBlockedUsersLogRow`: users whom Microsoft kept from calling, and let call again. Source: CSDL beta (2026-08).

use crate::model::{
    kind::Roles,
    rows::SearchField::{Id, Name, ParticipantId, Phone, Reason, Type, Upn},
    view::log::{Holds::Time, Log, column, found},
};

pub(super) const LOG: Log = Log {
    table: "blocked_user",
    columns: &[
        found("remediationId", "remediation_id", Id),
        found("userBlockMode", "user_block_mode", Type),
        column("blockDateTime", "block_ns", Time),
        found("blockReason", "block_reason", Reason),
        found("userId", "user_id", ParticipantId),
        found("userPrincipalName", "user_principal_name", Upn),
        found("userDisplayName", "user_display_name", Name),
        found("userTelephoneNumber", "user_telephone_number", Phone),
    ],
    start: &["blockDateTime"],
    end: None,
    record_type: Some("userBlockMode"),
    succeeded: None,
    numbers: &[("userTelephoneNumber", Roles::PARTICIPANT)],
    natural_key: &["remediationId", "userId", "blockDateTime", "userBlockMode"],
};
