//! `smsLogRow`: text messages of calling plans. Source: CSDL beta (2026-08); the published sample has no `id`.

use crate::model::{
    kind::Roles,
    rows::SearchField::{Detail, Id, Name, ParticipantId, Phone, Type, Upn},
    view::log::{
        Holds::{Decimal, Integer, Json, Time},
        Log, column, found,
    },
};

pub(super) const LOG: Log = Log {
    table: "sms",
    columns: &[
        found("id", "id", Id),
        found("smsId", "sms_id", Id),
        found("smsType", "sms_type", Type),
        column("smsUnits", "sms_units", Integer),
        column("sentDateTime", "sent_ns", Time),
        found("userId", "user_id", ParticipantId),
        found("userPrincipalName", "user_principal_name", Upn),
        found("userDisplayName", "user_display_name", Name),
        found("sourceNumber", "source_number", Phone),
        found("destinationNumber", "destination_number", Phone),
        column("callCharge", "call_charge", Decimal),
        found("currency", "currency", Detail),
        found("destinationContext", "destination_context", Detail),
        found("destinationName", "destination_name", Detail),
        found("licenseCapability", "license_capability", Detail),
        found("tenantCountryCode", "tenant_country_code", Detail),
        found("userCountryCode", "user_country_code", Detail),
        found("otherPartyCountryCode", "other_party_country_code", Detail),
        column("administrativeUnitInfos", "administrative_unit_infos", Json),
    ],
    start: &["sentDateTime"],
    end: None,
    record_type: Some("smsType"),
    succeeded: None,
    numbers: &[("sourceNumber", Roles::CALLER), ("destinationNumber", Roles::CALLEE)],
    natural_key: &["smsId", "userId", "sentDateTime", "sourceNumber", "destinationNumber"],
};
