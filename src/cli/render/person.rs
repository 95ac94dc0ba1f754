//! Somebody of the directory: who they are, and everything that they were, with the times for which the archive knows it.

use std::io::{self, Write};

use crate::{
    archive::{people::PersonVersion, versions::VersionInfo},
    cli::render::plain,
    model::{rows::Person, time::Timestamp},
};

/// Writes who somebody was in the last of `history`, which holds their versions up to the one to show; `versions` are all.
pub fn show(versions: &[VersionInfo], history: &[PersonVersion], out: &mut dyn Write) -> io::Result<()> {
    let Some(PersonVersion { info, person }) = history.last() else { return Ok(()) };
    writeln!(out, "{}", plain(&info.key.to_string()))?;
    let text = |value: &Option<String>| value.clone();
    let list = |values: &[String]| Some(values.join(", ")).filter(|text| !text.is_empty());
    let account = person.account_enabled.map(|enabled| if enabled { "enabled" } else { "disabled" }.to_owned());
    for (label, value) in [
        ("name", text(&person.display_name)),
        ("UPN", text(&person.user_principal_name)),
        ("mail", text(&person.mail)),
        ("other mails", list(&person.other_mails)),
        ("phones", list(&person.business_phones)),
        ("mobile", text(&person.mobile_phone)),
        ("department", text(&person.department)),
        ("account", account),
        ("REMOVED", removed(history)),
        ("version", Some(place(info, versions))),
    ] {
        if let Some(value) = value {
            writeln!(out, "  {label:<12}{}", plain(&value))?;
        }
    }
    let one = |value: &Option<String>| value.iter().cloned().collect::<Vec<_>>();
    section("names", &periods(history, |person| one(&person.display_name)), out)?;
    section("UPNs", &periods(history, |person| one(&person.user_principal_name)), out)?;
    section("mails", &periods(history, |person| person.mails().map(str::to_owned).collect()), out)?;
    section("numbers", &periods(history, |person| person.numbers().map(str::to_owned).collect()), out)?;
    section("departments", &periods(history, |person| one(&person.department)), out)
}

fn place(info: &VersionInfo, versions: &[VersionInfo]) -> String {
    let place = versions.iter().position(|other| other.seq == info.seq).map_or(1, |place| place + 1);
    let newest = if info.newest { ", the newest" } else { ", not the newest" };
    format!("{} ({place} of {}{newest}; ledger entry {})", info.version, versions.len().max(1), info.seq)
}

/// Since when they are removed, and whether for good.
fn removed(history: &[PersonVersion]) -> Option<String> {
    let reason = history.last()?.person.removed.as_deref()?;
    let since = history.iter().rev().take_while(|version| version.person.removed.is_some()).last()?.person.seen;
    let how = match reason {
        "deleted" => "deleted for good".to_owned(),
        "changed" => "deleted, may be brought back".to_owned(),
        other => other.to_owned(),
    };
    Some(format!("{how}; known since {since}"))
}

/// A value, and from when until when it was the case.
struct Period {
    value: String,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// When somebody had which of the values that `of` takes from a version, by their beginnings.
fn periods(history: &[PersonVersion], of: impl Fn(&Person) -> Vec<String>) -> Vec<Period> {
    let mut periods: Vec<Period> = Vec::new();
    for PersonVersion { person, .. } in history {
        let values = of(person);
        for period in periods.iter_mut().filter(|period| period.until.is_none() && !values.contains(&period.value)) {
            period.until = Some(person.seen);
        }
        for value in values {
            if !periods.iter().any(|period| period.until.is_none() && period.value == value) {
                periods.push(Period { value, from: person.seen, until: None });
            }
        }
    }
    periods
}

fn section(title: &str, periods: &[Period], out: &mut dyn Write) -> io::Result<()> {
    if periods.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title} ({})", periods.len())?;
    for (n, Period { value, from, until }) in periods.iter().enumerate() {
        let mark = if n + 1 == periods.len() { "└─" } else { "├─" };
        let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
        writeln!(out, "{mark} {}  known from {from}{until}", plain(value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        derive,
        id::{RecordKey, Seq, Version},
        kind::Kind,
        rows::{PersonMember, Saying},
    };

    /// Versions 1, 2, … seen at second 1, 2, …
    fn history(sayings: Vec<(Vec<PersonMember>, Option<&str>)>) -> Vec<PersonVersion> {
        let count = sayings.len();
        let mut history: Vec<PersonVersion> = Vec::new();
        for (n, (members, removed)) in (1_i64..).zip(sayings) {
            let seen = Timestamp(n * 1_000_000_000);
            let saying = Saying { seen, id: Some("u".into()), members, removed: removed.map(str::to_owned) };
            let person = derive::person::person(&saying, history.last().map(|version| &version.person));
            let info = VersionInfo {
                key: RecordKey { kind: Kind::Person, id: "u".into() },
                version: Version(n),
                seq: Seq(n + 5),
                newest: history.len() + 1 == count,
                raw_bytes: 1,
                frame_bytes: 1,
                sealed: None,
            };
            history.push(PersonVersion { info, person });
        }
        history
    }

    #[test]
    fn everything_that_somebody_was_stands_with_its_time() {
        let text = |value: &str| Some(value.to_owned());
        let history = history(vec![
            (
                vec![
                    PersonMember::DisplayName(text("Anna Meyer")),
                    PersonMember::BusinessPhones(vec!["+49 1".into(), "+49 2".into()]),
                    PersonMember::AccountEnabled(Some(true)),
                ],
                None,
            ),
            (
                vec![
                    PersonMember::DisplayName(text("Anna\u{202e} Schmidt")),
                    PersonMember::BusinessPhones(vec!["+49 2".into()]),
                ],
                None,
            ),
            (vec![], Some("changed")),
            (vec![], Some("deleted")),
        ]);
        let versions: Vec<VersionInfo> = history.iter().map(|version| version.info.clone()).collect();
        let mut out = Vec::new();
        show(&versions, &history, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "person u\n  name        Anna\\u{202e} Schmidt\n  phones      +49 2\n  account     enabled\n\
             \x20 REMOVED     deleted for good; known since 1970-01-01T00:00:03Z\n\
             \x20 version     4 (4 of 4, the newest; ledger entry 9)\n\n\
             names (2)\n├─ Anna Meyer  known from 1970-01-01T00:00:01Z until 1970-01-01T00:00:02Z\n\
             └─ Anna\\u{202e} Schmidt  known from 1970-01-01T00:00:02Z\n\n\
             numbers (2)\n├─ +49 1  known from 1970-01-01T00:00:01Z until 1970-01-01T00:00:02Z\n\
             └─ +49 2  known from 1970-01-01T00:00:01Z\n"
        );
    }
}
