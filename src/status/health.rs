//! What is wrong with a service: the one judgement that `/healthz` and alerts share. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    model::time::{Age, Timestamp},
    status::standing::{Held, Standing, There},
};

/// How long a service may take for what its first minutes bring: a first round, a subscription.
const STARTING: Age = Age::minutes(5);
/// How long ids may wait in the inbox.
const WAITING_MAX: Age = Age::minutes(10);
/// A subscription that ends within this was not renewed when it should have been, half of its life before.
const EXPIRES_SOON: Age = Age::hours(1);
/// Rounds that may fail, and how long that may take at the least.
const ROUNDS: i64 = 3;
const NO_ROUND_MIN: Age = Age::hours(1);
const NEWS: Age = Age::days(1);

/// A way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Something is not archived that Graph soon forgets.
    CoverageAtRisk,
    /// Something was lost within the last day.
    Lost,
    /// No round went well for long.
    NoRound,
    /// There is no subscription, or it is about to end.
    Subscription,
    /// Subscriptions are there, and nobody takes what they bring.
    Receiver,
    /// Ids that notifications brought are not fetched.
    Waiting,
    /// Archive or inbox cannot be read.
    Unreadable,
    /// There is still no archive.
    NoArchive,
}

impl What {
    /// As it is spelled in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            What::CoverageAtRisk => "coverage_at_risk",
            What::Lost => "lost",
            What::NoRound => "no_round",
            What::Subscription => "subscription",
            What::Receiver => "receiver",
            What::Waiting => "waiting",
            What::Unreadable => "unreadable",
            What::NoArchive => "no_archive",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub what: What,
    /// The source that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Since when, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    pub details: String,
}

/// What a service is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// How often it looks for what is new.
    pub interval: Age,
    /// When it began, by this machine's clock.
    pub up_since: Timestamp,
}

impl Standing {
    /// Whether there is nothing to judge yet: a service has just begun, and there is no archive or nothing in it.
    #[must_use]
    pub fn is_starting(&self, measure: &Measure) -> bool {
        let is_empty = match &self.archive {
            Held::Missing => true,
            Held::Unreadable(_) => false,
            Held::There(there) => there.status.sources.iter().all(|source| source.covered.is_empty()),
        };
        is_empty && self.is_young(measure)
    }

    fn is_young(&self, measure: &Measure) -> bool {
        self.local_now - measure.up_since < STARTING
    }

    /// All that is wrong, in a fixed order; nothing when all is well.
    #[must_use]
    pub fn troubles(&self, measure: &Measure) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let trouble = |what, since, details| Trouble { what, source: None, since, details };
        match &self.archive {
            Held::Missing if self.is_young(measure) => {}
            Held::Missing => {
                let details = "there is no archive yet: no round has got as far as to make it".into();
                troubles.push(trouble(What::NoArchive, Some(measure.up_since), details));
            }
            Held::Unreadable(why) => troubles.push(trouble(What::Unreadable, None, why.clone())),
            Held::There(there) => {
                self.of_coverage(there, measure, &mut troubles);
                troubles.extend(self.of_rounds(there, measure));
            }
        }
        match &self.inbox {
            Err(why) => troubles.push(trouble(What::Unreadable, None, format!("inbox.db: {why}"))),
            Ok(_) => troubles.extend(self.of_inbox(measure)),
        }
        troubles
    }

    fn of_coverage(&self, there: &There, measure: &Measure, troubles: &mut Vec<Trouble>) {
        for source in &there.status.sources {
            let of_source =
                |what, since, details| Trouble { what, source: Some(source.source.clone()), since, details };
            let first = source.at_risk.iter().map(|gap| gap.deadline).min();
            if let Some(deadline) = first.filter(|_| !self.is_starting(measure)) {
                let left_h = (deadline - self.now).max(Age::default()).as_seconds_f64() / 3600.0;
                let details = format!(
                    "{} spans are not archived, and Graph forgets the first of them at {} ({left_h:.1} hours left)",
                    source.at_risk.len(),
                    deadline.to_seconds_text()
                );
                troubles.push(of_source(What::CoverageAtRisk, None, details));
            }
            let spans = there.newly_lost.get(&source.source).map_or(&[][..], Vec::as_slice);
            let records = || source.lost_records.iter().filter(|record| record.lost > self.now - NEWS);
            if !spans.is_empty() || records().next().is_some() {
                let mut details: Vec<String> = spans
                    .iter()
                    .map(|span| {
                        format!(
                            "{} to {} passed Graph's retention",
                            span.from.to_seconds_text(),
                            span.to.to_seconds_text()
                        )
                    })
                    .collect();
                if let Some(first) = records().next() {
                    details.push(format!(
                        "{} records that Graph listed are gone, the first of them {}",
                        records().count(),
                        first.id
                    ));
                }
                let since = records().map(|record| record.lost).min();
                troubles.push(of_source(What::Lost, since, format!("within the last day: {}", details.join("; "))));
            }
        }
    }

    fn of_rounds(&self, there: &There, measure: &Measure) -> Option<Trouble> {
        let ahead = self.now - self.local_now;
        let limit = NO_ROUND_MIN.max(Age(measure.interval.0.saturating_mul(ROUNDS)));
        let mut last = there.rounds.succeeded.unwrap_or(Timestamp(0)).max(measure.up_since + ahead);
        if there.is_at_work {
            // A first round may go on for days: as long as it stores something it is on its way.
            last = last.max(there.written.map_or(last, |written| written + ahead));
        }
        if self.now - last <= limit {
            return None;
        }
        let mut details = match there.rounds.succeeded {
            Some(succeeded) => {
                format!("the last round that listed all it set out to list ended at {}", succeeded.to_seconds_text())
            }
            None => "no round has listed all it set out to list".into(),
        };
        if let Some((run, _)) = there.rounds.last.get("sync")
            && let Some(code) = run.exit_code.filter(|code| *code != 0)
        {
            details.push_str(&format!("; the last one that ended, ended with {code}"));
        }
        Some(Trouble { what: What::NoRound, source: None, since: there.rounds.succeeded, details })
    }

    fn of_inbox(&self, measure: &Measure) -> Vec<Trouble> {
        let Ok(Some(inbox)) = &self.inbox else { return Vec::new() };
        let mut troubles = Vec::new();
        let mut add = |what, since, details| troubles.push(Trouble { what, source: None, since, details });
        if let Some(since) =
            inbox.waiting_since.filter(|since| self.local_now - (*since).max(measure.up_since) > WAITING_MAX)
        {
            add(
                What::Waiting,
                Some(since),
                format!("{} ids that notifications brought wait to be fetched", inbox.waiting),
            );
        }
        let ends = inbox.expires;
        if self.has_receiver {
            let failing = match inbox.keeping_failed {
                Some(at) => format!("; the last attempt to keep it failed at {}", at.to_seconds_text()),
                None => String::new(),
            };
            match ends.filter(|ends| *ends > self.now) {
                _ if self.is_young(measure) => {}
                None => add(
                    What::Subscription,
                    ends,
                    format!("there is no subscription: the lists alone bring what is new{failing}"),
                ),
                Some(ends) if ends - self.now < EXPIRES_SOON => {
                    add(
                        What::Subscription,
                        None,
                        format!("the subscription ends at {}{failing}", ends.to_seconds_text()),
                    );
                }
                Some(_) => {}
            }
        } else if ends.is_some()
            && let Some(alive) =
                inbox.alive.filter(|alive| self.local_now - (*alive).max(measure.up_since) > WAITING_MAX)
        {
            let details = "no receiver runs, and its subscription is still there: start it again, or end it with listen --unsubscribe";
            add(What::Receiver, Some(alive), details.into());
        }
        troubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::{coverage::AtRisk, inbox::Facts, tally::LostRecord},
        model::{
            id::{Seq, Version},
            time::Span,
        },
        status::{SourceStatus, Status},
    };

    const NOW: Timestamp = Timestamp(Age::days(20_000).0);
    const QUARTER: Age = Age::minutes(15);

    fn ago(age: Age) -> Timestamp {
        NOW - age
    }

    fn measure() -> Measure {
        Measure { interval: QUARTER, up_since: ago(Age::days(3)) }
    }

    /// An archive that was brought up to date ten minutes ago.
    fn there() -> There {
        let calls = SourceStatus {
            source: "calls".into(),
            covered: vec![Span::new(ago(Age::days(30)), NOW)],
            ..SourceStatus::default()
        };
        let mut there = There { status: Status { sources: vec![calls], ..Status::default() }, ..There::default() };
        there.rounds.succeeded = Some(ago(Age::minutes(10)));
        there
    }

    /// An inbox whose receiver is up and whose subscription lasts.
    fn inbox() -> Facts {
        Facts { alive: Some(ago(Age::seconds(5))), expires: Some(NOW + Age::hours(40)), ..Facts::default() }
    }

    fn standing(there: There, inbox: Option<Facts>) -> Standing {
        let has_receiver = inbox.is_some();
        Standing {
            now: NOW,
            local_now: NOW,
            archive: Held::There(there.into()),
            inbox: Ok(inbox),
            inbox_bytes: 0,
            has_receiver,
        }
    }

    fn wrong(standing: &Standing) -> Vec<&'static str> {
        standing.troubles(&measure()).iter().map(|trouble| trouble.what.name()).collect()
    }

    #[test]
    fn all_is_well_with_a_service_that_does_its_work() {
        assert_eq!(wrong(&standing(there(), Some(inbox()))), [""; 0]);
        assert_eq!(wrong(&standing(there(), None)), [""; 0]);
    }

    #[test]
    fn what_is_at_risk_or_newly_lost_is_wrong() {
        let mut risky = there();
        let deadline = NOW + Age::hours(7);
        risky.status.sources[0].at_risk = vec![AtRisk { from: ago(Age::days(29)), to: ago(Age::days(28)), deadline }];
        let troubles = standing(risky, None).troubles(&measure());
        assert_eq!((troubles[0].what, troubles[0].source.as_deref()), (What::CoverageAtRisk, Some("calls")));
        assert!(troubles[0].details.contains("7.0 hours left"), "{}", troubles[0].details);

        let lost = |age| {
            let mut there = there();
            let (id, version, seq) = ("r".into(), Version(1), Seq(1));
            there.status.sources[0].lost_records =
                vec![LostRecord { id, version, start: ago(Age::days(20)), lost: ago(age), seq }];
            wrong(&standing(there, None))
        };
        assert_eq!(lost(Age::hours(23)), ["lost"]);
        assert_eq!(lost(Age::hours(25)), [""; 0], "what is lost is lost: nobody can mend it");
        let mut passed = there();
        passed.newly_lost.insert("calls".into(), vec![Span::new(ago(Age::days(31)), ago(Age::days(30)))]);
        assert_eq!(wrong(&standing(passed, None)), ["lost"]);
    }

    #[test]
    fn rounds_that_fail_for_three_intervals_are_wrong_and_one_at_work_is_not() {
        let silent = |succeeded: Option<Age>, at_work: Option<Age>, interval, up| {
            let mut there = there();
            there.rounds.succeeded = succeeded.map(ago);
            (there.is_at_work, there.written) = (at_work.is_some(), at_work.map(ago));
            let found = standing(there, None).troubles(&Measure { interval, up_since: ago(up) });
            found.iter().any(|trouble| trouble.what == What::NoRound)
        };
        let (minutes, up) = (Age::minutes, Age::days(3));
        for (succeeded, at_work, interval, up, expected) in [
            (Some(minutes(59)), None, QUARTER, up, false),
            (Some(minutes(61)), None, QUARTER, up, true),
            (None, None, QUARTER, up, true),
            // A service that began within the hour, after a long absence.
            (Some(Age::days(9)), None, QUARTER, minutes(50), false),
            (Some(minutes(100)), None, minutes(60), up, false),
            (Some(minutes(181)), None, minutes(60), up, true),
            // At work for hours, and storing; or hanging.
            (Some(Age::hours(9)), Some(minutes(2)), QUARTER, up, false),
            (Some(Age::hours(9)), Some(minutes(61)), QUARTER, up, true),
        ] {
            assert_eq!(
                silent(succeeded, at_work, interval, up),
                expected,
                "{succeeded:?} {at_work:?} {interval:?} {up:?}"
            );
        }
    }

    #[test]
    fn an_inbox_that_is_not_worked_off_and_a_subscription_that_is_not_kept_are_wrong() {
        let of = |inbox| wrong(&standing(there(), Some(inbox)));
        let expires = |age| Facts { expires: Some(NOW + age), ..inbox() };
        let waiting = |age| Facts { waiting: 1, waiting_since: Some(ago(age)), ..inbox() };
        assert_eq!(of(waiting(Age::minutes(9))), [""; 0]);
        assert_eq!(of(waiting(Age::minutes(11))), ["waiting"]);
        assert_eq!(of(expires(Age::minutes(61))), [""; 0]);
        assert_eq!(of(expires(Age::minutes(59))), ["subscription"]);
        assert_eq!(of(expires(Age::minutes(-1))), ["subscription"]);
        assert_eq!(of(Facts { expires: None, ..inbox() }), ["subscription"]);
        let away = |inbox| wrong(&Standing { has_receiver: false, ..standing(there(), Some(inbox)) });
        let since = |age| Facts { alive: Some(ago(age)), ..inbox() };
        assert_eq!(away(since(Age::minutes(9))), [""; 0], "it may be on its way up again");
        assert_eq!(away(since(Age::minutes(11))), ["receiver"]);
        // After a night both come up, this one first.
        let both_down = Standing { has_receiver: false, ..standing(there(), Some(since(Age::hours(9)))) };
        assert_eq!(both_down.troubles(&Measure { interval: QUARTER, up_since: ago(Age::minutes(2)) }), []);
        assert_eq!(away(Facts { expires: None, ..since(Age::days(90)) }), [""; 0], "it was given up in order");
    }

    #[test]
    fn a_service_may_take_minutes_to_begin_but_an_unreadable_archive_is_wrong_at_once() {
        let of = |archive, up| {
            let standing = Standing { archive, ..standing(there(), Some(Facts { expires: None, ..inbox() })) };
            let measure = Measure { interval: QUARTER, up_since: ago(up) };
            let names: Vec<_> = standing.troubles(&measure).iter().map(|trouble| trouble.what.name()).collect();
            (standing.is_starting(&measure), names)
        };
        assert_eq!(of(Held::Missing, Age::minutes(4)), (true, vec![]));
        assert_eq!(of(Held::Missing, Age::minutes(6)), (false, vec!["no_archive", "subscription"]));
        let unreadable = || Held::Unreadable("the database is damaged".into());
        assert_eq!(of(unreadable(), Age::minutes(1)), (false, vec!["unreadable"]));
        let mut empty = there();
        empty.status.sources[0] = SourceStatus {
            covered: vec![],
            at_risk: vec![AtRisk { from: NOW, to: NOW, deadline: NOW }],
            ..empty.status.sources[0].clone()
        };
        assert_eq!(of(Held::There(empty.into()), Age::minutes(4)), (true, vec![]));
    }

    #[test]
    fn names_are_those_of_the_json() {
        for what in [
            What::CoverageAtRisk,
            What::Lost,
            What::NoRound,
            What::Subscription,
            What::Receiver,
            What::Waiting,
            What::Unreadable,
            What::NoArchive,
        ] {
            assert_eq!(serde_json::to_value(what).unwrap(), what.name());
        }
    }
}
