//! The coverage statement of a package: what the last run under the checkpoint said that the archive can vouch for, within the period asked for.
//!
//! It is made of the ledger alone. What a sync that has not ended yet has listed meanwhile changes nothing.

use crate::{
    archive::{self, Archive, coverage::UNSETTLED_MAX, evidence::Vouched, ledger::Covered},
    export::package::PackageAsk,
    model::{
        retention::Retention,
        source::Source,
        time::{Span, Timestamp, intersect, subtract, union},
    },
    package::coverage::{LostRecord, SourceStatement, State, Statement, Stretch},
};

/// What is said by the last run that ended under the checkpoint, over `size` entries; where none has, nothing is vouched for at `time`.
pub(super) fn statement(
    archive: &Archive,
    ask: &PackageAsk,
    vouched: Option<Vouched>,
    (time, size): (Timestamp, u64),
) -> archive::Result<Statement> {
    let kinds = &ask.selection.filter.kinds;
    let asked = |source: &Source| source.is_of_events() && (kinds.is_empty() || kinds.contains(&source.kind()));
    let (seq, time) = vouched.as_ref().map_or((None, time), |vouched| (Some(vouched.seq), vouched.ended));
    let coverage = vouched.map(|vouched| vouched.coverage).unwrap_or_default();
    let (mut sources, mut not_kept) = (Vec::new(), Vec::new());
    for source in Source::ALL.into_iter().filter(asked) {
        let said = coverage.iter().find(|said| said.source == source.name());
        if said.is_none() && !kinds.contains(&source.kind()) && source != Source::Calls {
            not_kept.push(source.name().to_owned());
            continue;
        }
        let nothing = Covered { source: source.name().to_owned(), covered: Vec::new(), lost: Vec::new() };
        let said = said.unwrap_or(&nothing);
        let period = period(ask, said, time);
        let lost_records = archive.lost_records(source)?.into_iter();
        // What is entered after the checkpoint is not proven by it.
        let lost_records = lost_records.filter(|lost| period.contains(lost.start) && lost.seq.0.unsigned_abs() <= size);
        let lost_records: Vec<LostRecord> = lost_records
            .map(|lost| LostRecord {
                id: lost.id,
                version: lost.version,
                start: lost.start,
                lost: lost.lost,
                seq: lost.seq,
            })
            .collect();
        let stretches = stretches(source, said, period, (time, &ask.retention), &lost_records);
        let (source, Span { from, to }) = (source.name().to_owned(), period);
        sources.push(SourceStatement { source, from, to, stretches, lost_records });
    }
    let filter = &ask.selection.filter;
    Ok(Statement { seq, time, from: filter.from, to: filter.to, sources, not_kept })
}

/// The period that was asked for; where that is open, what the archive knows of this log.
fn period(ask: &PackageAsk, said: &Covered, time: Timestamp) -> Span {
    let filter = &ask.selection.filter;
    let known = || said.covered.iter().chain(&said.lost);
    let from = filter.from.or_else(|| known().map(|span| span.from).min()).unwrap_or(time);
    let last = known().map(|span| span.to).max().unwrap_or(time);
    Span::new(from, filter.to.unwrap_or(last).max(from))
}

/// The period divided, in rising order and without a hole. What the run says nothing of was still to be had at its end, or too young, or
/// of a time that nobody had set out for.
fn stretches(
    source: Source,
    said: &Covered,
    period: Span,
    (time, retention): (Timestamp, &Retention),
    lost_records: &[LostRecord],
) -> Vec<Stretch> {
    let retained = retention.certain(source);
    let lost = subtract(&said.lost, &said.covered);
    let unsaid = subtract(&[period], &union([&said.covered[..], &lost[..]].concat()));
    let (ever, end) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
    let (horizon, young) = (time - retained, time - source.latency());
    let risk = (time + source.risk_margin() - retained).min(young);
    let settling = time - UNSETTLED_MAX;
    let states = [
        (State::Covered, &said.covered, Span::new(ever, settling)),
        (State::Settling, &said.covered, Span::new(settling, end)),
        (State::Lost, &lost, Span::new(ever, end)),
        (State::NotArchived, &unsaid, Span::new(ever, horizon)),
        (State::AtRisk, &unsaid, Span::new(horizon, risk)),
        (State::Gap, &unsaid, Span::new(risk, young)),
        (State::NotYet, &unsaid, Span::new(young, end)),
    ];
    let mut stretches: Vec<Stretch> = Vec::new();
    for (state, spans, within) in states {
        for span in intersect(&intersect(spans, &[within]), &[period]) {
            let lost = lost_records.iter().filter(|record| span.contains(record.start)).count() as u64;
            let missing = (state == State::Lost && lost > 0).then_some(lost);
            let deadline = (state == State::AtRisk).then(|| span.from + retained);
            let records =
                missing.map(|lost| format!(" Records that were listed and lost: {lost}.")).unwrap_or_default();
            let why = format!("{}{records}", state.why());
            stretches.push(Stretch { state, from: span.from, to: span.to, missing, deadline, why });
        }
    }
    stretches.sort_by_key(|stretch| (stretch.from, stretch.to));
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        id::{Seq, Version},
        time::Age,
    };

    #[test]
    fn a_period_is_divided_without_a_hole_and_each_stretch_says_why() {
        let day = |day| Timestamp(Age::days(day).0);
        let span = |from, to| Span::new(day(from), day(to));
        let covered = vec![span(120, 130), span(140, 172), span(180, 199)];
        let said = Covered { source: "calls".into(), covered, lost: vec![span(130, 140)] };
        let lost = [LostRecord { id: "x".into(), version: Version(1), start: day(135), lost: day(180), seq: Seq(9) }];
        let retention = Retention::default();
        let divided = |period| stretches(Source::Calls, &said, period, (day(200), &retention), &lost);
        let told = |found: &[Stretch]| -> Vec<(State, i64, i64)> {
            found.iter().map(|one| (one.state, one.from.0 / Age::days(1).0, one.to.0 / Age::days(1).0)).collect()
        };
        let found = divided(span(100, 201));
        let expected = [
            (State::NotArchived, 100, 120),
            (State::Covered, 120, 130),
            (State::Lost, 130, 140),
            (State::Covered, 140, 172),
            (State::AtRisk, 172, 173),
            (State::Gap, 173, 180),
            (State::Covered, 180, 196),
            (State::Settling, 196, 199),
            (State::Gap, 199, 199),
            (State::NotYet, 199, 201),
        ];
        assert_eq!(told(&found), expected);
        assert!(found.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(found[4].deadline, Some(day(202)));
        assert!(found[2].why.ends_with("Records that were listed and lost: 1."));
        assert_eq!(told(&divided(span(125, 128))), [(State::Covered, 125, 128)]);
    }
}
