//! Writes log rows as Graph does: the members of the reference in the order of its samples.

use crate::{
    model::time::Age,
    simulate::{
        dice::Dice,
        json::Json,
        logs::{LogKind, Reshape, report::Line, row::LogRow},
    },
};

/// What stands where a failure has no time.
const NEVER: &str = "\"0001-01-01T00:00:00Z\"";

/// How the rows of an answer are spelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spelling<'a> {
    pub(super) is_beta: bool,
    pub(super) tenant_country: &'a str,
    pub(super) reshape: Option<Reshape>,
}

/// The names of a country, for `destinationName`.
fn country_name(code: &str) -> &str {
    match code {
        "GB" => "United Kingdom",
        "DE" => "Germany",
        "PL" => "Poland",
        "ES" => "Spain",
        "FR" => "France",
        "SE" => "Sweden",
        "CZ" => "Czech Republic",
        "CN" => "China",
        "JP" => "Japan",
        "KR" => "South Korea",
        "TH" => "Thailand",
        "UA" => "Ukraine",
        "GR" => "Greece",
        "AE" => "United Arab Emirates",
        other => other,
    }
}

/// One row of `log`.
pub(super) fn row(json: &mut Json, log: LogKind, row: &LogRow, spelling: Spelling<'_>) {
    let mut dice = Dice::of(row.noise, &[0x10e]);
    json.raw("{");
    if let Some(id) = row.id.as_deref().filter(|_| log != LogKind::BlockedUsers)
        && spelling.reshape != Some(Reshape::WithoutId)
    {
        json.raw("\"id\":").text(id).raw(",");
    }
    match log {
        LogKind::Pstn => pstn(json, row, &mut dice, spelling),
        LogKind::DirectRouting => direct_routing(json, row, &mut dice, spelling),
        LogKind::Sms => sms(json, row, &mut dice, spelling),
        LogKind::BlockedUsers | LogKind::DialOut => blocked(json, row, &mut dice),
    }
    if !row.extra_members.is_empty() {
        json.raw(",").raw(&row.extra_members);
    }
    close(json, spelling);
}

/// One line of the dial-out report.
pub(super) fn report_line(json: &mut Json, line: &Line, spelling: Spelling<'_>) {
    json.raw("{\"userId\":").text_or_null(line.user_id.as_deref());
    json.raw(",\"userPrincipalName\":").text_or_null(line.user_principal_name.as_deref());
    json.raw(",\"userDisplayName\":").text_or_null(line.user_display_name.as_deref());
    json.raw(",\"usageLocation\":").text(&line.usage_location);
    json.raw(",\"destinationContext\":").text_or_null(line.destination_context.as_deref());
    json.raw(",\"currency\":").text(&line.currency).raw(",\"totalCalls\":").show(line.calls);
    json.raw(",\"totalCallCharge\":").raw(&line.charge()).raw(",\"totalCallSeconds\":").show(line.seconds);
    close(json, spelling);
}

fn close(json: &mut Json, spelling: Spelling<'_>) {
    if spelling.reshape == Some(Reshape::UnknownMembers) {
        json.raw(",\"billingDetail\":{\"ratePlan\":\"B-7\",\"units\":[1e-7,9007199254740993]},\"isPreview\":true");
    }
    json.raw("}");
}

fn pstn(json: &mut Json, row: &LogRow, dice: &mut Dice, spelling: Spelling<'_>) {
    let is_operator = row.call_type.starts_with("oc_");
    let is_conference = row.call_type.starts_with("conf_");
    let is_service = is_conference || row.call_type.contains("ucap");
    json.raw("\"callId\":").text_or_null(row.call_id.as_deref()).raw(",");
    user(json, row, dice);
    json.raw(",\"startDateTime\":").time(row.start).raw(",\"endDateTime\":").time(row.end());
    json.raw(",\"duration\":").show(row.duration_s).raw(",\"charge\":").raw(number(row.charge.as_deref()));
    json.raw(",\"callType\":").text(&row.call_type).raw(",\"currency\":").text(&row.currency);
    json.raw(",\"calleeNumber\":").text_or_null(row.callee.as_deref());
    json.raw(",\"usageCountryCode\":").text(&row.user_country);
    json.raw(",\"tenantCountryCode\":").text(spelling.tenant_country);
    json.raw(",\"connectionCharge\":").raw(number(row.connection_charge.as_deref()));
    json.raw(",\"callerNumber\":").text_or_null(row.caller.as_deref());
    destination(json, row);
    let conference = is_conference.then(|| (100_000_000 + dice.below(900_000_000)).to_string());
    json.raw(",\"conferenceId\":").text_or_null(conference.as_deref());
    let license = match (is_conference, is_service) {
        (true, _) => "MCOMEETADD",
        (_, true) => "MCOEV_VIRTUALUSER",
        _ => *dice.pick(&["MCOPSTN1", "MCOPSTN2", "MCOPSTN5", "MCOPSTNU", "MCOPSTNPP"]),
    };
    json.raw(",\"licenseCapability\":").text(license);
    json.raw(",\"inventoryType\":").text(if is_service { "Service" } else { "Subscriber" });
    json.raw(",\"operator\":").text(if is_operator { "Adatum Telecom" } else { "Microsoft" });
    json.raw(",\"callDurationSource\":").text(if is_operator { "operator" } else { "microsoft" });
    if spelling.is_beta {
        json.raw(",\"otherPartyCountryCode\":").text_or_null(row.other_country.as_deref());
        let local = format!("10.20.{}.{}", dice.below(256), dice.between(2, 254));
        let has_client = row.user_id.is_some() && !is_conference;
        json.raw(",\"clientLocalIpV4Address\":").text_or_null(has_client.then_some(local.as_str()));
        json.raw(",\"clientLocalIpV6Address\":null,\"clientPublicIpV4Address\":");
        json.text_or_null(has_client.then_some("203.0.113.7")).raw(",\"clientPublicIpV6Address\":null");
        json.raw(",\"administrativeUnitInfos\":[]");
    }
}

fn direct_routing(json: &mut Json, row: &LogRow, dice: &mut Dice, spelling: Spelling<'_>) {
    let ringing = Age(dice.between(900, 9000) * 1_000_000);
    let invited = if row.failure.is_some() { row.start } else { row.start - ringing };
    json.raw("\"correlationId\":").text_or_null(row.call_id.as_deref()).raw(",");
    user(json, row, dice);
    json.raw(",\"startDateTime\":").time(row.start).raw(",\"endDateTime\":");
    match row.failure {
        Some(_) => json.raw("null"),
        None => json.time(row.end()),
    };
    json.raw(",\"inviteDateTime\":").time(invited).raw(",\"failureDateTime\":");
    match row.failure {
        Some(_) => json.time(row.start),
        None => json.raw(NEVER),
    };
    json.raw(",\"duration\":").show(row.duration_s).raw(",\"callType\":").text(&row.call_type);
    json.raw(",\"successfulCall\":").show(row.failure.is_none());
    json.raw(",\"callerNumber\":").text_or_null(row.caller.as_deref());
    json.raw(",\"calleeNumber\":").text_or_null(row.callee.as_deref());
    let (code, phrase) = row.failure.as_ref().map_or((0, "BYE"), |failure| (failure.code, failure.phrase.as_str()));
    let bypass = dice.chance(0.3);
    let media_path = (!bypass).then(|| *dice.pick(&["EUWE", "EUNO", "USWE"]));
    json.raw(",\"mediaPathLocation\":").text_or_null(media_path);
    json.raw(",\"signalingLocation\":").text(dice.pick::<&str>(&["EUNO", "EUWE"]));
    json.raw(",\"finalSipCode\":").show(code);
    json.raw(",\"callEndSubReason\":").show(540_000 + u32::from(code));
    json.raw(",\"finalSipCodePhrase\":").text(phrase);
    json.raw(",\"trunkFullyQualifiedDomainName\":").text(&format!("sbc{:02}.adatum.biz", 1 + dice.below(4)));
    json.raw(",\"mediaBypassEnabled\":").show(bypass);
    if spelling.is_beta {
        json.raw(",\"userCountryCode\":").text(&row.user_country);
        json.raw(",\"otherPartyCountryCode\":").text_or_null(row.other_country.as_deref());
        let transferor = dice.chance(0.03).then(|| dice.guid());
        json.raw(",\"transferorCorrelationId\":").text_or_null(transferor.as_deref());
        json.raw(",\"administrativeUnitInfos\":[]");
    }
}

fn sms(json: &mut Json, row: &LogRow, dice: &mut Dice, spelling: Spelling<'_>) {
    json.raw("\"smsId\":").text_or_null(row.call_id.as_deref()).raw(",");
    user(json, row, dice);
    json.raw(",\"userCountryCode\":").text(&row.user_country);
    json.raw(",\"tenantCountryCode\":").text(spelling.tenant_country);
    json.raw(",\"sourceNumber\":").text_or_null(row.caller.as_deref());
    json.raw(",\"destinationNumber\":").text_or_null(row.callee.as_deref());
    json.raw(",\"sentDateTime\":").time(row.start);
    json.raw(",\"callCharge\":").raw(number(row.charge.as_deref()));
    json.raw(",\"currency\":").text(&row.currency).raw(",\"smsType\":").text(&row.call_type);
    destination(json, row);
    json.raw(",\"otherPartyCountryCode\":").text_or_null(row.other_country.as_deref());
    json.raw(",\"licenseCapability\":\"MCOSMS1\",\"smsUnits\":").show(1 + dice.below(3));
}

fn blocked(json: &mut Json, row: &LogRow, dice: &mut Dice) {
    user(json, row, dice);
    json.raw(",\"blockDateTime\":").time(row.start);
    json.raw(",\"userTelephoneNumber\":").text_or_null(row.caller.as_deref());
    json.raw(",\"userBlockMode\":").text(&row.call_type);
    let is_block = row.call_type.eq_ignore_ascii_case("blocked");
    let reason = if is_block { "High Overall Usage" } else { "Tenant Requested" };
    json.raw(",\"blockReason\":").text(reason);
    json.raw(",\"remediationId\":").text_or_null(row.call_id.as_deref());
}

/// Who of ours; a bot's id is null in some rows and empty in others.
fn user(json: &mut Json, row: &LogRow, dice: &mut Dice) {
    let nobody = if dice.chance(0.3) { Some("") } else { None };
    json.raw("\"userId\":").text_or_null(row.user_id.as_deref().or(nobody));
    json.raw(",\"userPrincipalName\":").text_or_null(row.user_principal_name.as_deref());
    json.raw(",\"userDisplayName\":").text_or_null(row.user_display_name.as_deref());
}

fn destination(json: &mut Json, row: &LogRow) {
    json.raw(",\"destinationContext\":").text_or_null(row.destination_context.as_deref());
    json.raw(",\"destinationName\":").text_or_null(row.other_country.as_deref().map(country_name));
}

/// The text of a number as it is: `0.00` stays `0.00`.
fn number(text: Option<&str>) -> &str {
    text.unwrap_or("null")
}

/// `@odata.context` of an answer, from Graph's public host, so that the bytes depend on the seed alone.
pub(super) fn context(json: &mut Json, log: LogKind, is_beta: bool) {
    let version = if is_beta { "beta" } else { "v1.0" };
    json.raw("\"@odata.context\":\"https://graph.microsoft.com/").raw(version);
    json.raw("/$metadata#Collection(microsoft.graph.callRecords.").raw(log.row_type()).raw(")\"");
}

/// Whether the next link stands before the rows, as the sample of the log has it.
pub(super) fn has_link_first(log: LogKind) -> bool {
    log != LogKind::Pstn
}
