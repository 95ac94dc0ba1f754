//! `verify`: is what is stored what was archived?

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

use indicatif::ProgressBar;
use serde::Serialize;

use crate::{
    archive::{
        Archive,
        sealed::{
            check::{self, Checked},
            manifest::Manifest,
        },
    },
    cli::{
        Context, checkpoint,
        exit::{Code, Failure, Result},
        ledger_key, package,
        render::plain,
        to_stdout, usage,
    },
    graph,
    proof::note::{Note, PublicKey},
    sync,
    verify::{self, Ask, Error, Kept, Subset, Summary},
};

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Check the folder of a sealed month alone, without an archive
    #[arg(long, value_name = "DIR", conflicts_with = "quick")]
    pub sealed: Option<PathBuf>,
    /// Check an audit package that export --package made, a folder or an encrypted file, without an archive
    #[arg(long, value_name = "DIR", conflicts_with_all = ["quick", "sealed", "subset", "against"])]
    pub package: Option<PathBuf>,
    /// File with your key, of age or SSH, for an encrypted package
    #[arg(long, value_name = "FILE", requires = "package")]
    pub identity: Vec<PathBuf>,
    /// Check structure, ledger and the newest versions only
    #[arg(long)]
    pub quick: bool,
    /// Of the bodies, only this part: a twelfth each month covers a year
    #[arg(long, value_name = "PART/OF", conflicts_with_all = ["quick", "sealed"])]
    pub subset: Option<Subset>,
    /// A checkpoint that was kept elsewhere: nothing that it covers may have changed or gone
    #[arg(long, value_name = "FILE", conflicts_with = "sealed")]
    pub against: Vec<PathBuf>,
    /// The public key of who signs the ledger, as `callvault key` shows it [default: that of the key in the config; of a package, its own]
    #[arg(long, value_name = "FILE", conflicts_with = "sealed")]
    pub key: Option<PathBuf>,
    /// List Graph again and look for all that it still has
    #[arg(long, conflicts_with = "sealed")]
    pub against_source: bool,
    /// Format of the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: super::show::Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    if let Some(folder) = &args.sealed {
        return sealed(folder, args.format);
    }
    if let Some(folder) = &args.package {
        return package::check(folder, &args.identity, named_key(args)?.as_ref(), args.format);
    }
    let archive = context.archive()?;
    let shown = !context.quiet && std::io::stderr().is_terminal();
    let bar = if shown { context.bars.add(ProgressBar::new(0)) } else { ProgressBar::hidden() };
    let ask =
        Ask { quick: args.quick, subset: args.subset, against: against(args, context)?, key: key(args, context)? };
    let mut summary = verify::verify(&archive, &ask, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    if args.against_source {
        against_source(&archive, &mut summary, context)?;
    }
    to_stdout(|out| {
        if args.format == super::show::Format::Json {
            serde_json::to_writer(&mut *out, &summary)?;
            return writeln!(out);
        }
        text(&summary, out)
    })?;
    let is_left_out = summary.sources.iter().any(|compared| compared.left_out.is_some());
    Ok(match summary.is_whole() {
        false => Code::Integrity,
        true if is_left_out => Code::Incomplete,
        true => Code::Done,
    })
}

fn against_source(archive: &Archive, summary: &mut Summary, context: &Context) -> Result<()> {
    let client = graph::Client::new(context.config.graph()?, Arc::new(())).map_err(sync::Error::from)?;
    super::runtime()?.block_on(async {
        client.sign_in().await.map_err(sync::Error::from)?;
        let now = client.server_time().unwrap_or(context.now);
        Ok(verify::against_source(archive, &client, now, &context.config.retention()?, summary).await?)
    })
}

/// Checkpoints kept elsewhere: those that are named, and the one that the config file has put somewhere.
fn against(args: &Args, context: &Context) -> Result<Vec<Kept>> {
    let trouble = |path: &Path, what: String| usage(format!("the checkpoint {}: {what}", path.display()));
    let read = |path: &PathBuf| {
        let note = fs::read_to_string(path).map_err(|error| trouble(path, error.to_string()))?;
        Ok(Kept { name: path.display().to_string(), note })
    };
    let named = args.against.iter().map(|path| {
        let kept = read(path)?;
        Note::parse(&kept.note).map_err(|error| trouble(path, error.to_string()))?;
        Ok(kept)
    });
    // One that was put there by the program and is none any more is a finding.
    let put: Vec<PathBuf> =
        context.config.ledger().checkpoint_file.iter().flat_map(|path| checkpoint::put(path)).collect();
    if let Some(path) = context.config.ledger().checkpoint_file.as_ref().filter(|_| put.is_empty()) {
        context.note(&format!(
            "there is no checkpoint to compare with in {}, where the config file puts them",
            path.display()
        ));
    }
    named.chain(put.iter().map(read)).collect()
}

/// Who is to have signed, by somebody else's word than the archive's.
fn key(args: &Args, context: &Context) -> Result<Option<PublicKey>> {
    if let Some(key) = named_key(args)? {
        return Ok(Some(key));
    }
    let key = context.config.ledger_key().and_then(|path| ledger_key::read(&path).ok().flatten());
    if key.is_none() {
        context.note("the ledger's key is not at hand: who signs is taken from the archive itself; --key FILE says who it has to be");
    }
    Ok(key.map(|key| key.public()))
}

fn named_key(args: &Args) -> Result<Option<PublicKey>> {
    let Some(path) = &args.key else { return Ok(None) };
    let trouble = |what: String| usage(format!("--key {}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| trouble(error.to_string()))?;
    PublicKey::parse(&text).map(Some).map_err(|error| trouble(error.to_string()))
}

#[derive(Serialize)]
struct SealedLine<'a> {
    path: &'a Path,
    #[serde(flatten)]
    manifest: Option<&'a Manifest>,
    faults: &'a [String],
}

impl<'a> From<&'a Checked> for SealedLine<'a> {
    fn from(checked: &'a Checked) -> Self {
        Self { path: &checked.path, manifest: checked.manifest.as_ref(), faults: &checked.faults }
    }
}

fn sealed(folder: &Path, format: super::show::Format) -> Result<Code> {
    if !folder.is_dir() {
        return Err(usage(format!("--sealed: {} is no folder", folder.display())));
    }
    let checked = check::month(folder)?;
    to_stdout(|out| {
        if format == super::show::Format::Json {
            let lines: Vec<_> = checked.iter().map(SealedLine::from).collect();
            serde_json::to_writer(&mut *out, &lines)?;
            return writeln!(out);
        }
        checked.iter().try_for_each(|one| sealed_text(one, out))
    })?;
    Ok(if checked.iter().all(|one| one.faults.is_empty()) { Code::Done } else { Code::Integrity })
}

fn sealed_text(checked: &Checked, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    let path = checked.path.display();
    for fault in &checked.faults {
        writeln!(out, "{path}: {}", plain(fault))?;
    }
    let verdict = if checked.faults.is_empty() { "whole" } else { "DAMAGED" };
    let Some(Manifest { contents, month, .. }) = &checked.manifest else { return writeln!(out, "{verdict}: {path}") };
    writeln!(
        out,
        "{verdict}: {path}, {month}, ledger entries {} to {}, {} versions, {} bodies with {} bytes",
        contents.first_seq, contents.last_seq, contents.versions, contents.lines, contents.raw_bytes
    )
}

fn text(summary: &Summary, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    for finding in &summary.findings {
        writeln!(out, "{}", plain(&finding.to_string()))?;
    }
    if summary.findings_count > summary.findings.len() as u64 {
        writeln!(out, "… and {} findings more", summary.findings_count - summary.findings.len() as u64)?;
    }
    for note in &summary.notes {
        writeln!(out, "note: {note}")?;
    }
    for compared in &summary.sources {
        writeln!(
            out,
            "{}: Graph lists {} rows of what is covered, {} are held, {} are due to be fetched, {} held are not listed",
            compared.source, compared.listed, compared.held, compared.due, compared.not_listed
        )?;
    }
    let verdict = if summary.is_whole() { "whole" } else { "DAMAGED" };
    writeln!(
        out,
        "{verdict}: {} ledger entries under {} signed checkpoints, {} versions of {} records, {} bodies with {} bytes read again, {} records' rows and {} index documents compared, {} findings",
        summary.entries,
        summary.checkpoints,
        summary.versions,
        summary.records,
        summary.bodies,
        summary.bytes,
        summary.rows,
        summary.documents,
        summary.findings_count
    )
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Archive(error) => error.into(),
            Error::Graph(error) => sync::Error::from(error).into(),
            other => Failure::new(Code::Unexpected, other.to_string()),
        }
    }
}
