//! What the archive has, what it lacks, and how long that can still be had.

use serde::Serialize;

use crate::{
    archive::{
        self, Archive,
        coverage::{AtRisk, Coverage},
        runs::Run,
        stats::{Counts, Sizes},
    },
    model::{
        id::Seq,
        kind::Kind,
        retention::Retention,
        source::Source,
        time::{Span, Timestamp},
    },
};

/// The contract's document.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub sources: Vec<SourceStatus>,
    /// Last ledger entry.
    pub head: Seq,
    #[serde(flatten)]
    pub sizes: Sizes,
    /// Records whose rows are being made.
    pub records_without_rows: u64,
    /// The latest runs of writing commands, newest first.
    pub runs: Vec<Run>,
}

/// One source. Spans are half-open.
#[derive(Clone, Debug, Serialize)]
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
    /// Still to fetch.
    pub queued: u64,
    #[serde(flatten)]
    pub counts: Counts,
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

/// Reads the state at `now`.
pub fn status(archive: &Archive, now: Timestamp, retention: &Retention) -> archive::Result<Status> {
    archive.at_one_moment(|| {
        let sources = Source::ALL
            .iter()
            .map(|source| source_status(archive, *source, now, retention))
            .collect::<archive::Result<_>>()?;
        Ok(Status {
            sources,
            head: archive.head()?,
            sizes: archive.sizes(),
            records_without_rows: archive.underived()?,
            runs: archive.latest_runs(5)?,
        })
    })
}

fn source_status(
    archive: &Archive,
    source: Source,
    now: Timestamp,
    retention: &Retention,
) -> archive::Result<SourceStatus> {
    let kind: Kind = source.kind();
    let Coverage { covered, settling, gaps, at_risk, lost } = archive.coverage(source, now, retention)?;
    Ok(SourceStatus {
        source: source.name().into(),
        beta: source.is_beta(),
        covered,
        settling,
        gaps,
        at_risk,
        lost,
        queued: archive.queued(kind)?,
        counts: archive.counts(kind)?,
    })
}
