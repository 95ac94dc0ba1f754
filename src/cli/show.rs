//! `show`: one record.

use serde::Serialize;

use crate::{
    archive::{links::Linked, sealed::VolumeName, versions::VersionInfo},
    cli::{
        Context,
        exit::{Code, Result},
        render::{self, Shown},
        to_stdout, usage,
    },
    model::{
        derive,
        id::{Seq, Version},
        kind::Kind,
        link::Confidence,
        time::Timestamp,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The record's id, as `query` prints it
    pub id: String,
    /// Write the archived JSON, one line, nothing added
    #[arg(long)]
    pub raw: bool,
    /// Show this version instead of the newest
    #[arg(long, value_name = "N")]
    pub version: Option<i64>,
    /// List the versions that the archive holds
    #[arg(long, conflicts_with_all = ["raw", "version"])]
    pub versions: bool,
    /// List the records that it is linked with: the call of a row of a log, the rows of a call
    #[arg(long, conflicts_with_all = ["raw", "version", "versions"])]
    pub links: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Serialize)]
struct VersionLine<'a> {
    kind: &'a str,
    id: &'a str,
    version: Version,
    newest: bool,
    /// Ledger entry.
    seq: Seq,
    raw_bytes: u64,
    frame_bytes: u64,
    /// The file that has its bodies, inside the archive's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

#[derive(Serialize)]
struct LinkLine<'a> {
    kind: &'a str,
    id: &'a str,
    start: Option<Timestamp>,
    confidence: Confidence,
    reason: &'a str,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let archive = context.archive()?;
    let key = archive.find(&args.id)?.ok_or_else(|| usage(format!("the archive holds no record {}", args.id)))?;
    let versions = archive.versions(&key)?;
    if args.versions {
        return list(&versions, args.format);
    }
    if args.links || !(args.raw || args.format == Format::Json) {
        archive.require_rows()?;
    }
    if args.links {
        return links(&archive.links(&key)?, args.format, context);
    }
    let wanted = match args.version {
        Some(number) => versions.iter().find(|info| info.version == Version(number)).ok_or_else(|| {
            let held: Vec<String> = versions.iter().map(|info| info.version.to_string()).collect();
            usage(format!("the archive holds no version {number} of {}; it holds {}", args.id, held.join(", ")))
        })?,
        None => versions
            .iter()
            .find(|info| info.newest)
            .or(versions.last())
            .ok_or_else(|| usage(format!("the archive holds no version of {}", args.id)))?,
    };
    let stored = archive.version_reader().read(wanted.seq)?;
    if args.raw || args.format == Format::Json {
        to_stdout(|out| writeln!(out, "{}", stored.json))?;
    } else if key.kind == Kind::Person {
        let mut history = archive.person(&key)?;
        history.retain(|version| version.info.version <= wanted.version);
        to_stdout(|out| render::person::show(&versions, &history, out))?;
    } else {
        let shown = Shown {
            info: &stored.info,
            versions: &versions,
            derived: &derive::derive(&stored.document, &stored.json),
            json: &stored.json,
            asked: stored.document.asked_span(),
            // Of an older version nothing is known but what it says.
            linked: &if stored.info.newest { archive.links(&key)? } else { Vec::new() },
        };
        to_stdout(|out| render::record(&shown, out))?;
    }
    Ok(Code::Done)
}

fn list(versions: &[VersionInfo], format: Format) -> Result<Code> {
    let lines: Vec<VersionLine<'_>> = versions
        .iter()
        .map(|info| VersionLine {
            kind: info.key.kind.name(),
            id: &info.key.id,
            version: info.version,
            newest: info.newest,
            seq: info.seq,
            raw_bytes: info.raw_bytes,
            frame_bytes: info.frame_bytes,
            sealed: info.sealed.map(VolumeName::inside),
        })
        .collect();
    to_stdout(|out| {
        if format == Format::Json {
            serde_json::to_writer(&mut *out, &lines)?;
            return writeln!(out);
        }
        for line in &lines {
            let newest = if line.newest { ", the newest" } else { "" };
            let stored = match &line.sealed {
                Some(file) => format!("in {file}"),
                None => format!("{} stored", line.frame_bytes),
            };
            writeln!(
                out,
                "version {}: ledger entry {}, {} bytes, {stored}{newest}",
                line.version, line.seq, line.raw_bytes
            )?;
        }
        Ok(())
    })?;
    Ok(Code::Done)
}

fn links(linked: &[Linked], format: Format, context: &Context) -> Result<Code> {
    if linked.is_empty() && format == Format::Text {
        context.note("nothing is linked with it");
    }
    to_stdout(|out| {
        if format == Format::Text {
            return render::links(linked, out);
        }
        let lines: Vec<LinkLine<'_>> = linked
            .iter()
            .map(|one| LinkLine {
                kind: one.key.kind.name(),
                id: &one.key.id,
                start: one.start,
                confidence: one.confidence,
                reason: &one.reason,
            })
            .collect();
        serde_json::to_writer(&mut *out, &lines)?;
        writeln!(out)
    })?;
    Ok(Code::Done)
}
