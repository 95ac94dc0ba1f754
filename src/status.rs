//! What the archive has, what it lacks, and how long that can still be had.

pub mod health;
pub mod standing;

use serde::Serialize;

use crate::{
    archive::{
        self, Archive,
        bucket::{self, Bucket, State, StateSpan},
        coverage::{self, AtRisk, Coverage},
        inbox,
        runs::Run,
        sealed::table::{Amount, Sealed, Volume},
        stats::{Counts, Sizes},
        tally::LostRecord,
    },
    model::{
        id::Seq,
        kind::Kind,
        relisting::Policy,
        source::Source,
        time::{Age, Span, Timestamp},
    },
};

/// What is to be told.
#[derive(Clone, Debug)]
pub struct View {
    pub sources: Vec<Source>,
    /// The time of which each bucket is told; `None` tells none.
    pub buckets: Option<Span>,
}

impl Default for View {
    fn default() -> Self {
        Self { sources: Source::ALL.to_vec(), buckets: None }
    }
}

/// The contract's document.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    pub sources: Vec<SourceStatus>,
    /// How far Graph's clock is ahead of this machine's, where whoever asks knows that and it is worth telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_off_s: Option<i64>,
    /// Last ledger entry.
    pub head: Seq,
    #[serde(flatten)]
    pub sizes: Sizes,
    /// Files of sealed months, by month.
    pub sealed: Vec<Sealed>,
    /// Records whose rows are being made.
    pub records_without_rows: u64,
    /// The latest runs of writing commands, newest first.
    pub runs: Vec<Run>,
    /// What notifications brought and do; absent where there was never a receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notifications: Option<inbox::Facts>,
}

/// One source. Spans are half-open.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceStatus {
    pub source: String,
    /// Graph has it in its beta version only.
    pub beta: bool,
    /// Listed to the end, and every record of the list stored.
    pub covered: Vec<Span>,
    /// The youngest part of `covered`, where calls may still appear; it is listed again.
    pub settling: Vec<Span>,
    /// Can still be had.
    pub gaps: Vec<Span>,
    pub at_risk: Vec<AtRisk>,
    /// Cannot be had any more.
    pub lost: Vec<Span>,
    /// The same again, divided: each stretch of time with its state, in rising order.
    pub states: Vec<Stretch>,
    /// What is known of records that Graph listed and no longer gave.
    pub lost_records: Vec<LostRecord>,
    /// Still to fetch.
    pub queued: u64,
    #[serde(flatten)]
    pub counts: Counts,
    /// Of these, what is in sealed files; `frame_bytes` is of the others.
    pub sealed_versions: u64,
    pub sealed_raw_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<Bucket>>,
}

/// A stretch of time in one state.
#[derive(Clone, Debug, Serialize)]
pub struct Stretch {
    pub state: State,
    pub from: Timestamp,
    pub to: Timestamp,
    /// When Graph forgets its first record: where something is still to be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours_left: Option<f64>,
    /// Records listed and still to fetch: where something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<u64>,
    /// Records listed and gone before they were fetched: where something is lost. `lost_records` has their ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_records: Option<u64>,
}

impl Status {
    /// Whether something is still missing or at risk.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.records_without_rows > 0
            || self.sources.iter().any(|source| source.queued > 0 || !source.at_risk.is_empty())
    }

    /// Whether something is lost for good.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.sources.iter().any(|source| !source.lost.is_empty())
    }
}

/// Reads the state at `now`, which is Graph's time where that is known.
pub fn status(archive: &Archive, now: Timestamp, policy: &Policy, view: &View) -> archive::Result<Status> {
    archive.at_one_moment(|| {
        let mut volumes = archive.volumes()?;
        volumes.retain(|volume| volume.seq.is_some());
        let sources = view
            .sources
            .iter()
            .map(|source| source_status(archive, *source, &volumes, now, policy, view.buckets))
            .collect::<archive::Result<_>>()?;
        Ok(Status {
            sources,
            clock_off_s: None,
            head: archive.head()?,
            sizes: archive.sizes(),
            sealed: volumes.iter().map(Sealed::from).collect(),
            records_without_rows: archive.underived()?,
            runs: archive.latest_runs(5)?,
            // It may be lost, so what is wrong with it is no matter of the archive.
            notifications: inbox::facts(archive.folder()).ok().flatten(),
        })
    })
}

fn source_status(
    archive: &Archive,
    source: Source,
    volumes: &[Volume],
    now: Timestamp,
    policy: &Policy,
    within: Option<Span>,
) -> archive::Result<SourceStatus> {
    let kind: Kind = source.kind();
    let of_kind = volumes.iter().flat_map(|volume| &volume.kinds).filter(|(of, _)| *of == kind);
    let sealed = of_kind.fold(Amount::default(), |sum, (_, amount)| sum.with(*amount));
    let facts = archive.facts(source)?;
    let coverage = coverage::coverage(source, &facts, now, &policy.retention);
    let spans = bucket::states(source, &facts, &coverage, policy);
    let lost_records = archive.lost_records(source)?;
    let stretch = |state: &StateSpan| stretch(archive, source, *state, &lost_records, now, policy);
    let states = spans.iter().map(stretch).collect::<archive::Result<_>>()?;
    let of_buckets = |within| -> archive::Result<Vec<Bucket>> {
        Ok(bucket::buckets(source, (&facts, &spans, &archive.tally(source, within)?), within, now, policy))
    };
    let buckets = within.filter(|_| source.is_of_events()).map(of_buckets).transpose()?;
    let Coverage { covered, settling, gaps, at_risk, lost } = coverage;
    Ok(SourceStatus {
        source: source.name().into(),
        beta: source.is_beta(),
        covered,
        settling,
        gaps,
        at_risk,
        lost,
        states,
        lost_records,
        queued: archive.queued(kind)?,
        counts: archive.counts(kind)?,
        sealed_versions: sealed.versions,
        sealed_raw_bytes: sealed.raw_bytes,
        buckets,
    })
}

fn stretch(
    archive: &Archive,
    source: Source,
    StateSpan { state, span }: StateSpan,
    lost_records: &[LostRecord],
    now: Timestamp,
    policy: &Policy,
) -> archive::Result<Stretch> {
    let is_missing = matches!(state, State::Partial | State::Gap | State::AtRisk);
    let deadline = is_missing.then(|| policy.deadline(source, span));
    let lost = lost_records.iter().filter(|record| span.contains(record.start)).count() as u64;
    Ok(Stretch {
        state,
        from: span.from,
        to: span.to,
        deadline,
        hours_left: deadline.map(|deadline| hours(deadline - now)),
        queued: if is_missing { Some(archive.queued_within(source.kind(), span)?) } else { None },
        lost_records: (state == State::Lost).then_some(lost),
    })
}

/// Hours for people, to the tenth.
fn hours(age: Age) -> f64 {
    (age.as_seconds_f64() / 360.0).round() / 10.0
}
