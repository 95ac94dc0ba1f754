//! `pstnOnlineMeetingDialoutReport`: what a user's meetings called out for, summed up over the day asked for. Source: CSDL beta
//! (2026-08).

use crate::model::{
    rows::SearchField::{Detail, Name, ParticipantId, Upn},
    view::log::{
        Holds::{Decimal, Integer},
        Log, column, found,
    },
};

pub(super) const LOG: Log = Log {
    table: "dial_out",
    columns: &[
        found("userId", "user_id", ParticipantId),
        found("userPrincipalName", "user_principal_name", Upn),
        found("userDisplayName", "user_display_name", Name),
        found("usageLocation", "usage_location", Detail),
        found("destinationContext", "destination_context", Detail),
        column("totalCalls", "total_calls", Integer),
        column("totalCallSeconds", "total_call_s", Integer),
        column("totalCallCharge", "total_call_charge", Decimal),
        found("currency", "currency", Detail),
    ],
    start: &[],
    end: None,
    record_type: None,
    succeeded: None,
    numbers: &[],
    natural_key: &["userId", "usageLocation", "destinationContext", "currency"],
};
