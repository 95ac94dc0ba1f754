//! What comes before the records: what was asked and by whom, how to check the package, what the archive can vouch for, the list.

use std::fmt::Write;

use crate::{
    model::time::{Span, Timestamp},
    package::{
        Item,
        coverage::{SourceStatement, State, Statement, Stretch},
        manifest::Manifest,
        name,
        report::{at, cell, escaped, facts, foot, head, length, maybe_at, number_cell},
    },
};

/// Stretches of a log that are listed one by one.
const STRETCHES_MAX: usize = 200;
/// Participants named in a line of the list.
const NAMES_MAX: usize = 3;

pub(super) fn page(page: &mut String, manifest: &Manifest, coverage: &Statement) {
    page.push_str("<h1>Call records: audit package</h1>\n");
    let _ = writeln!(
        page,
        "<p class=\"soft\">Microsoft Teams call records as archived until {}. All times are in UTC.</p>",
        at(manifest.time)
    );
    page.push_str("<h2>What was asked</h2>\n");
    let conditions = manifest.query.conditions();
    facts(page, [("asked by", Some(format!("{} (user of the operating system)", manifest.user)))]);
    if conditions.is_empty() {
        page.push_str("<p>All records of the archive.</p>\n");
    } else {
        facts(page, conditions.into_iter().map(|(label, value)| (label, Some(value))));
    }
    let versions =
        if manifest.versions == "all" { "every version of each record" } else { "the newest version of each record" };
    facts(page, [("versions", Some(versions.to_owned())), ("profile", Some(manifest.profile.name().to_owned()))]);
    found(page, manifest);
    if !manifest.left_out.is_empty() {
        page.push_str("<div class=\"box\"><h4>Left out of this package</h4>\n<ul>\n");
        for what in &manifest.left_out {
            let _ = writeln!(page, "<li>{}</li>", escaped(what));
        }
        page.push_str("</ul></div>\n");
    }
    covered(page, coverage);
    check(page, manifest);
}

fn found(page: &mut String, manifest: &Manifest) {
    page.push_str("<h2>What was found</h2>\n");
    let contents = &manifest.contents;
    if contents.records == 0 {
        page.push_str("<p>No record. Whether none was made, or none was archived, the next section tells.</p>\n");
        return;
    }
    let _ = writeln!(page, "<p>{} records in {} versions.</p>", contents.records, contents.versions);
    head(page, &["kind", "records", "versions"]);
    for (kind, of) in &contents.kinds {
        page.push_str("<tr>");
        cell(page, kind);
        cell(page, &of.records.to_string());
        cell(page, &of.versions.to_string());
        page.push_str("</tr>\n");
    }
    foot(page);
}

fn check(page: &mut String, manifest: &Manifest) {
    page.push_str("<h2>How to check it</h2>\n<div class=\"box\">\n");
    page.push_str(
        "<p>In the folder of this package: <b>sha256sum -c manifest-sha256.txt tagmanifest-sha256.txt</b> tells whether any file was \
         changed since it was written. <b>callvault verify --package .</b> also makes every record anew from the answers of Microsoft \
         Graph as they were received, and checks that each is in the signed ledger. The manual (docs/auditing.md) prints a short script \
         that does the same without callvault.</p>\n",
    );
    facts(
        page,
        [
            ("ledger", Some(manifest.origin.clone())),
            ("entries", Some(manifest.size.to_string())),
            ("root hash", Some(manifest.root.clone())),
            ("signed note", Some(name::CHECKPOINT.to_owned())),
            ("time stamp of it", manifest.timestamp.as_ref().map(|time| format!("{time}, {}", name::TIMESTAMP))),
            ("made by", Some(manifest.program.clone())),
        ],
    );
    page.push_str(
        "<p>The key in this package proves nothing by itself: whoever forges a package signs it with a key of his own. Compare \
         data/key.txt with the key that the organisation gave you by another way.</p>\n</div>\n",
    );
}

fn covered(page: &mut String, coverage: &Statement) {
    page.push_str("<h2>What the archive can vouch for</h2>\n");
    let _ = writeln!(
        page,
        "<p>Period: {}. As of {}. That nothing was found means that there was nothing only where the time is covered.</p>",
        coverage.period().replace('T', " ").replace('Z', ""),
        at(coverage.time)
    );
    let verdict = if coverage.is_whole() {
        "<p>The whole period is covered: every record that Microsoft Graph listed in it is archived.</p>\n"
    } else {
        "<p class=\"bad\">Parts of the period are not covered: records may be missing, see below.</p>\n"
    };
    page.push_str(verdict);
    page.push_str("<p class=\"key\">");
    for (state, colour) in [
        (State::Covered, "#2e7d4f"),
        (State::Settling, "#8fc3a4"),
        (State::Gap, "#e8b25f"),
        (State::AtRisk, "#c77700"),
        (State::Lost, "#b3261e"),
        (State::NotYet, "#8f99a3"),
        (State::NotArchived, "#c9cfd6"),
    ] {
        let _ = write!(page, "<span><i style=\"background:{colour}\"></i>{}</span>", state.title());
    }
    page.push_str("</p>\n");
    for source in &coverage.sources {
        of_source(page, source);
    }
    if !coverage.not_kept.is_empty() {
        let _ =
            writeln!(page, "<p>Logs that the archive does not keep: {}.</p>", escaped(&coverage.not_kept.join(", ")));
    }
}

fn of_source(page: &mut String, source: &SourceStatement) {
    let _ = writeln!(page, "<h4>{}: {} to {}</h4>", escaped(&source.source), at(source.from), at(source.to));
    if source.stretches.is_empty() {
        page.push_str("<p class=\"bad\">Nothing of it had been listed yet.</p>\n");
    }
    bar(page, Span::new(source.from, source.to), &source.stretches);
    let uncovered: Vec<&Stretch> = source.stretches.iter().filter(|stretch| stretch.state != State::Covered).collect();
    if !uncovered.is_empty() {
        head(page, &["from", "to", "state", "why"]);
        for stretch in uncovered.iter().take(STRETCHES_MAX) {
            page.push_str("<tr>");
            cell(page, &at(stretch.from));
            cell(page, &at(stretch.to));
            cell(page, stretch.state.title());
            cell(page, &stretch.why);
            page.push_str("</tr>\n");
        }
        foot(page);
        if uncovered.len() > STRETCHES_MAX {
            let _ = writeln!(
                page,
                "<p class=\"soft\">… and {} more: {}</p>",
                uncovered.len() - STRETCHES_MAX,
                name::COVERAGE
            );
        }
    }
    if !source.lost_records.is_empty() {
        page.push_str("<p>Records that Microsoft Graph listed and no longer gave when they were asked for:</p>\n");
        head(page, &["id", "version", "start", "found lost"]);
        for lost in source.lost_records.iter().take(STRETCHES_MAX) {
            page.push_str("<tr>");
            cell(page, &lost.id);
            cell(page, &lost.version.to_string());
            cell(page, &at(lost.start));
            cell(page, &at(lost.lost));
            page.push_str("</tr>\n");
        }
        foot(page);
    }
}

fn bar(page: &mut String, period: Span, stretches: &[Stretch]) {
    page.push_str("<svg viewBox=\"0 0 1000 22\" role=\"img\" aria-label=\"coverage\" preserveAspectRatio=\"none\">");
    for stretch in stretches {
        let (from, to) = (place(period, stretch.from, 1000.0), place(period, stretch.to, 1000.0));
        let class = class(stretch.state);
        let _ = write!(
            page,
            "<rect class=\"{class}\" x=\"{from:.2}\" y=\"2\" width=\"{:.2}\" height=\"18\"><title>{}: {} to {}</title></rect>",
            (to - from).max(1.0),
            stretch.state.title(),
            at(stretch.from),
            at(stretch.to)
        );
    }
    page.push_str("</svg>\n");
}

fn class(state: State) -> &'static str {
    match state {
        State::Covered => "covered",
        State::Settling => "settling",
        State::Gap => "gap",
        State::AtRisk => "at_risk",
        State::Lost => "lost",
        State::NotYet => "not_yet",
        State::NotArchived => "not_archived",
    }
}

/// Where an instant is on a line of this length.
pub(super) fn place(span: Span, time: Timestamp, length: f64) -> f64 {
    let whole = (span.to - span.from).as_seconds_f64();
    if whole <= 0.0 { 0.0 } else { ((time - span.from).as_seconds_f64() / whole).clamp(0.0, 1.0) * length }
}

/// A record's line in the list.
pub(super) fn line(list: &mut String, item: &Item<'_>, is_shown: bool) {
    let hit = item.hit;
    let control = item.control();
    list.push_str("<tr>");
    if is_shown {
        let _ = write!(list, "<td><a href=\"#{control}\">{}</a></td>", item.n);
    } else {
        cell(list, &item.n.to_string());
    }
    let _ = write!(list, "<td class=\"t\">{}</td>", maybe_at(hit.start));
    number_cell(list, &item.derived.record.duration().map(length).unwrap_or_default());
    cell(list, [item.key.kind.name(), hit.call_type.as_deref().unwrap_or_default()].join(" ").trim_end());
    let organizer = hit.organizer.as_ref().and_then(|person| person.known_as());
    let others = hit.participants.iter().filter_map(|person| person.known_as()).filter(|name| Some(*name) != organizer);
    let mut names: Vec<&str> = organizer.into_iter().chain(others).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    cell(list, &(names.join(", ") + &more));
    list.push_str(if hit.failed { "<td class=\"bad\">failed</td>" } else { "<td></td>" });
    list.push_str("</tr>\n");
}

pub(super) fn list(page: &mut String, list: &str, items: u64, shown: u64) {
    if items == 0 {
        return;
    }
    page.push_str("<h2>Records</h2>\n");
    if shown < items {
        let _ =
            writeln!(page, "<p>The first {shown} are shown in full below; the tables and files have all {items}.</p>");
    }
    page.push_str(
        "<table>\n<thead><tr><th>no.</th><th>start</th><th class=\"n\">length</th><th>kind</th><th>people</th><th></th></tr></thead>\n<tbody>\n",
    );
    page.push_str(list);
    foot(page);
}
