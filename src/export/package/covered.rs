//! The coverage statement of a package: what the archive can vouch for in the period asked for, as it was at the checkpoint.

use crate::{
    archive::{
        self, Archive,
        coverage::{self, Coverage, Facts},
    },
    export::package::PackageAsk,
    model::{
        source::Source,
        time::{Span, Timestamp, intersect, subtract, union},
    },
    package::coverage::{LostRecord, SourceStatement, State, Statement, Stretch},
};

/// What is said at `time`.
pub(super) fn statement(archive: &Archive, ask: &PackageAsk, time: Timestamp) -> archive::Result<Statement> {
    let kinds = &ask.selection.filter.kinds;
    let asked = |source: &Source| source.is_of_events() && (kinds.is_empty() || kinds.contains(&source.kind()));
    let mut known = Vec::new();
    let mut not_kept = Vec::new();
    for source in Source::ALL.into_iter().filter(asked) {
        let facts = archive.facts(source)?;
        if facts.listings.is_empty() && !kinds.contains(&source.kind()) {
            not_kept.push(source.name().to_owned());
        } else {
            let found = coverage::coverage(source, &facts, time, &ask.retention);
            known.push((source, facts, found));
        }
    }
    let mut sources = Vec::new();
    for (source, facts, coverage) in &known {
        let period = period(ask, time, facts, coverage);
        let lost_records = archive.lost_records(*source)?.into_iter().filter(|lost| period.contains(lost.start));
        let lost_records: Vec<LostRecord> = lost_records
            .map(|lost| LostRecord { id: lost.id, version: lost.version, start: lost.start, lost: lost.lost })
            .collect();
        let stretches = stretches(period, facts, coverage, &lost_records);
        let (source, Span { from, to }) = (source.name().to_owned(), period);
        sources.push(SourceStatement { source, from, to, stretches, lost_records });
    }
    let filter = &ask.selection.filter;
    Ok(Statement { time, from: filter.from, to: filter.to, sources, not_kept })
}

/// The period that was asked for; where that is open, what the archive knows of this log.
fn period(ask: &PackageAsk, time: Timestamp, facts: &Facts, coverage: &Coverage) -> Span {
    let filter = &ask.selection.filter;
    let known = || coverage.covered.iter().chain(&coverage.lost);
    let listed = facts.listings.iter().map(|listing| listing.span.from).min();
    let first = known().map(|span| span.from).min().or(listed);
    let from = filter.from.or(first).unwrap_or(time);
    let last = known().map(|span| span.to).max().unwrap_or(time);
    Span::new(from, filter.to.unwrap_or(last).min(time.max(last)).max(from))
}

/// The period divided, in rising order and without a hole.
fn stretches(period: Span, facts: &Facts, coverage: &Coverage, lost: &[LostRecord]) -> Vec<Stretch> {
    let at_risk: Vec<Span> = coverage.at_risk.iter().map(|risk| Span::new(risk.from, risk.to)).collect();
    let states = [
        (State::Covered, subtract(&coverage.covered, &coverage.settling)),
        (State::Settling, coverage.settling.clone()),
        (State::Lost, subtract(&coverage.lost, &coverage.covered)),
        (State::AtRisk, at_risk.clone()),
        (State::Gap, subtract(&coverage.gaps, &at_risk)),
    ];
    let said = union(states.iter().flat_map(|(_, spans)| spans.clone()).collect());
    let unsaid = subtract(&[period], &said);
    // What nothing is said of comes before all that is said, or after it.
    let last = said.last().map_or(period.from, |span| span.to);
    let (after, before): (Vec<Span>, Vec<Span>) =
        unsaid.into_iter().partition(|span| span.from >= last && !said.is_empty());
    let rest = [(State::NotYet, after), (State::NotArchived, before)];
    let mut stretches: Vec<Stretch> = states
        .into_iter()
        .chain(rest)
        .flat_map(|(state, spans)| intersect(&spans, &[period]).into_iter().map(move |span| (state, span)))
        .map(|(state, span)| stretch(state, span, facts, coverage, lost))
        .collect();
    stretches.sort_by_key(|stretch| (stretch.from, stretch.to));
    stretches
}

fn stretch(state: State, span: Span, facts: &Facts, coverage: &Coverage, lost: &[LostRecord]) -> Stretch {
    let known_missing = match state {
        State::Gap | State::AtRisk => facts.missing.iter().filter(|start| span.contains(**start)).count(),
        State::Lost => lost.iter().filter(|record| span.contains(record.start)).count(),
        _ => 0,
    };
    let deadline = (state == State::AtRisk)
        .then(|| {
            coverage.at_risk.iter().find(|risk| risk.from < span.to && span.from < risk.to).map(|risk| risk.deadline)
        })
        .flatten();
    let mut why = state.why().to_owned();
    match (known_missing, state) {
        (0, _) => {}
        (n, State::Lost) => why += &format!(" Records that were listed and lost: {n}."),
        (n, _) => why += &format!(" Records that were listed and not yet fetched: {n}."),
    }
    let missing = (known_missing > 0).then_some(known_missing as u64);
    Stretch { state, from: span.from, to: span.to, missing, deadline, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::coverage::AtRisk;

    #[test]
    fn a_period_is_divided_without_a_hole_and_each_stretch_says_why() {
        let at = Timestamp::from_second;
        let span = |from, to| Span::new(at(from), at(to));
        let coverage = Coverage {
            covered: vec![span(20, 30), span(40, 60), span(80, 90)],
            settling: vec![span(85, 90)],
            gaps: vec![span(60, 80)],
            at_risk: vec![AtRisk { from: at(60), to: at(65), deadline: at(99) }],
            lost: vec![span(30, 40)],
        };
        let facts = Facts { missing: vec![at(61), at(62), at(70)], ..Facts::default() };
        let lost = [LostRecord { id: "x".into(), version: crate::model::id::Version(1), start: at(35), lost: at(99) }];
        let found = stretches(span(10, 100), &facts, &coverage, &lost);
        let told: Vec<_> = found
            .iter()
            .map(|stretch| (stretch.state, stretch.from.as_second(), stretch.to.as_second(), stretch.missing))
            .collect();
        let expected = [
            (State::NotArchived, 10, 20, None),
            (State::Covered, 20, 30, None),
            (State::Lost, 30, 40, Some(1)),
            (State::Covered, 40, 60, None),
            (State::AtRisk, 60, 65, Some(2)),
            (State::Gap, 65, 80, Some(1)),
            (State::Covered, 80, 85, None),
            (State::Settling, 85, 90, None),
            (State::NotYet, 90, 100, None),
        ];
        assert_eq!(told, expected);
        assert_eq!(found[4].deadline, Some(at(99)));
        assert!(found[2].why.ends_with("Records that were listed and lost: 1."));
        assert!(
            stretches(span(10, 20), &Facts::default(), &Coverage::default(), &[])
                .iter()
                .all(|stretch| stretch.state == State::NotArchived)
        );
    }
}
