//! `status`: what is covered, what is missing, what is lost.

use std::io::{self, Write};

use crate::{
    cli::{
        Context,
        exit::{Code, Result},
        to_stdout,
    },
    model::time::{Span, Timestamp},
    status::{self, SourceStatus, Status},
};

/// Show coverage, counts, sizes and the last runs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Format of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: super::show::Format,
}

/// Spans of a sort that are listed one by one; of more, the first and the number are told.
const SPANS_MAX: usize = 8;

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let archive = context.archive()?;
    let status = status::status(&archive, context.now, &context.config.retention()?)?;
    to_stdout(|out| {
        if args.format == super::show::Format::Json {
            serde_json::to_writer_pretty(&mut *out, &status)?;
            return writeln!(out);
        }
        writeln!(out, "archive {}", archive.folder().path().display())?;
        text(&status, context.now, out)
    })?;
    Ok(match (status.has_lost(), status.is_incomplete()) {
        (true, _) => Code::Lost,
        (false, true) => Code::Incomplete,
        (false, false) => Code::Done,
    })
}

fn text(status: &Status, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "ledger {} entries; database {}, index {}",
        status.head,
        bytes(status.sizes.database_bytes),
        bytes(status.sizes.index_bytes)
    )?;
    for source in &status.sources {
        source_text(source, now, out)?;
    }
    for run in &status.runs {
        let ended = run.ended.map_or_else(
            || "has not ended".to_owned(),
            |ended| {
                format!("took {:.1} s, exit code {}", (ended - run.begun).as_seconds_f64(), run.exit_code.unwrap_or(0))
            },
        );
        writeln!(out, "run {} at {}: {ended}", run.command, run.begun.to_seconds_text())?;
    }
    Ok(())
}

fn source_text(source: &SourceStatus, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let counts = &source.counts;
    writeln!(
        out,
        "{}{}: {} records in {} versions; {} of bodies kept in {}; {} still to fetch",
        source.source,
        if source.beta { " (beta)" } else { "" },
        counts.records,
        counts.versions,
        bytes(counts.raw_bytes),
        bytes(counts.frame_bytes),
        source.queued
    )?;
    spans("covered", &source.covered, "", out)?;
    spans("settling", &source.settling, " (more may still appear; read again)", out)?;
    spans("gap", &source.gaps, " (can still be had)", out)?;
    for risk in source.at_risk.iter().take(SPANS_MAX) {
        let left_h = (risk.deadline - now).as_seconds_f64() / 3600.0;
        writeln!(
            out,
            "  at risk    {} to {}: {:.0} hours left",
            risk.from.to_seconds_text(),
            risk.to.to_seconds_text(),
            left_h.max(0.0)
        )?;
    }
    spans("LOST", &source.lost, " (past Graph's retention)", out)
}

fn spans(name: &str, spans: &[Span], remark: &str, out: &mut dyn Write) -> io::Result<()> {
    for span in spans.iter().take(SPANS_MAX) {
        writeln!(out, "  {name:<10} {} to {}{remark}", span.from.to_seconds_text(), span.to.to_seconds_text())?;
    }
    if spans.len() > SPANS_MAX {
        writeln!(out, "  {name:<10} … and {} spans more; --format json lists all", spans.len() - SPANS_MAX)?;
    }
    Ok(())
}

/// A size for people: three digits and a unit of 1,000.
#[expect(clippy::cast_precision_loss, reason = "a size for the eye")]
fn bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < units.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", units[unit]) }
}
