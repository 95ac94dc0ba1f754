//! `hold`: records that nobody may dispose of, for a matter.

use std::{collections::HashSet, io::Write, ops::ControlFlow};

use clap::Subcommand;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use crate::{
    archive::{
        Archive, ArchiveWriter,
        policy::{Hold, Scope},
    },
    cli::{
        Context, access,
        ask::FilterArgs,
        checkpoint,
        exit::{Code, Result},
        ledger_key, query as asked,
        render::plain,
        show::Format,
        to_stdout, usage,
    },
    model::{
        filter::{Selection, Sort},
        id::{RecordId, Seq},
        time::Timestamp,
    },
    query, retain,
};

/// Keep records from being disposed of, for a matter
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a hold: what it covers is asked again at each disposal, so it covers records that come later too
    Add {
        /// What the hold is called
        #[arg(value_name = "NAME")]
        name: String,
        /// The matter that it is for
        #[arg(long, value_name = "TEXT")]
        matter: String,
        /// Hold everything that there is and will be
        #[arg(long)]
        everything: bool,
        #[command(flatten)]
        filter: Box<FilterArgs>,
    },
    /// List the holds in force, and how many records each covers now
    List {
        /// Also those that were released
        #[arg(long)]
        all: bool,
        /// Format of the answer
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Release a hold: what no other covers may be disposed of again
    Release {
        /// The hold
        #[arg(value_name = "NAME")]
        name: String,
        /// Why; goes into the ledger, where nothing can be taken out again: name nobody
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

impl Args {
    /// What the journal of accesses calls it.
    pub(super) fn name(&self) -> &'static str {
        match self.command {
            Command::Add { .. } => "hold add",
            Command::List { .. } => "hold list",
            Command::Release { .. } => "hold release",
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    match &args.command {
        Command::Add { name, matter, everything, filter } => add(name, matter, *everything, filter, context),
        Command::List { all, format } => list(*all, *format, context),
        Command::Release { name, reason } => release(name, reason, context),
    }
}

fn add(name: &str, matter: &str, everything: bool, filter: &FilterArgs, context: &Context) -> Result<Code> {
    for (what, text) in [("NAME", name), ("--matter", matter)] {
        if text.trim().is_empty() {
            return Err(usage(format!("{what} is empty")));
        }
    }
    let selection = filter.selection(Sort::Newest, None, context.now)?;
    let scope = Scope::of(&selection);
    if scope.is_everything() != everything {
        return Err(usage(if everything {
            "--everything: a hold over everything has no filter"
        } else {
            "the hold names neither text nor filter; a hold over everything is --everything"
        }));
    }
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    let signing = ledger_key::signed(context, &mut writer, context.now)?;
    match writer.derive_missing(&mut |_| ControlFlow::Continue(())) {
        // Damage keeps nobody from holding the rest.
        Err(error) if !error.is_damage() => return Err(error.into()),
        _ => {}
    }
    let (covered, whole) = covered(&Archive::open(&context.folder())?, &selection, context)?;
    let seq = writer.add_hold((name, matter), &scope, &covered, access::user().person(), Timestamp::now())?;
    context.act.count(covered.len() as u64);
    let code = end(&mut writer, context)?;
    to_stdout(|out| {
        writeln!(out, "hold '{}' added, ledger entry {seq}: it covers {} records now", plain(name), covered.len())
    })?;
    if covered.is_empty() {
        context.note("it covers no record so far: look at its filter with the same words in callvault query");
    }
    signing.trouble()?;
    Ok(code.max(whole))
}

/// The records that a hold to be added covers, and whether all could be looked at; what could not be is asked again at each disposal.
fn covered(archive: &Archive, selection: &Selection, context: &Context) -> Result<(HashSet<RecordId>, Code)> {
    let mut covered = HashSet::new();
    let reach = query::Reader::new(archive).for_each(selection, &mut |hit| {
        covered.insert(hit.record_id);
        ControlFlow::Continue(())
    })?;
    match retain::seen::by_older(archive, &Scope::of(selection)) {
        Ok(older) => covered.extend(older),
        Err(retain::Error::Archive(error)) if error.is_damage() => {
            context
                .note(&format!("older versions could not all be looked at, which each disposal does again: {error}"));
            return Ok((covered, Code::Integrity));
        }
        Err(error) => return Err(error.into()),
    }
    Ok((covered, asked::told(reach, context)))
}

fn release(name: &str, reason: &str, context: &Context) -> Result<Code> {
    if reason.trim().is_empty() {
        return Err(usage("--reason is empty"));
    }
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    let signing = ledger_key::signed(context, &mut writer, context.now)?;
    let seq = writer.release_hold(name, reason, access::user().person(), Timestamp::now())?;
    let code = end(&mut writer, context)?;
    to_stdout(|out| writeln!(out, "hold '{}' released, ledger entry {seq}", plain(name)))?;
    signing.trouble()?;
    Ok(code)
}

/// What every command that writes ends with.
pub(super) fn end(writer: &mut ArchiveWriter, context: &Context) -> Result<Code> {
    let given = checkpoint::give_out(writer, context);
    writer.checkpoint()?;
    Ok(if given?.kept_back { Code::Incomplete } else { Code::Done })
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    matter: &'a str,
    scope: &'a Scope,
    /// Its entry in the ledger.
    seq: Seq,
    added: Timestamp,
    released: Option<Timestamp>,
    /// Covered now; of a hold that was released, none.
    records: u64,
}

fn list(all: bool, format: Format, context: &Context) -> Result<Code> {
    let archive = context.archive()?;
    archive.require_rows()?;
    let mut holds = archive.holds()?;
    holds.retain(|hold| all || hold.released.is_none());
    let mut code = Code::Done;
    let mut lines = Vec::with_capacity(holds.len());
    for hold in &holds {
        let (records, whole) = if hold.released.is_some() { (0, Code::Done) } else { count(&archive, hold, context)? };
        code = code.max(whole);
        lines.push(Line {
            name: &hold.name,
            matter: &hold.matter,
            scope: &hold.scope,
            seq: hold.seq,
            added: hold.added,
            released: hold.released.map(|(_, time)| time),
            records,
        });
    }
    context.act.count(lines.len() as u64);
    to_stdout(|out| {
        if format == Format::Json {
            serde_json::to_writer(&mut *out, &lines)?;
            return writeln!(out);
        }
        if lines.is_empty() { Ok(()) } else { text(&lines, out) }
    })?;
    if lines.is_empty() {
        context.note("no hold is in force");
    }
    Ok(code)
}

fn count(archive: &Archive, hold: &Hold, context: &Context) -> Result<(u64, Code)> {
    let (text, filter) = (hold.scope.text.clone(), hold.scope.filter()?);
    let selection = Selection { text, filter, ..Selection::default() };
    let mut found = HashSet::new();
    let reach = query::Reader::new(archive).for_each(&selection, &mut |hit| {
        found.insert(hit.record_id);
        ControlFlow::Continue(())
    })?;
    Ok((archive.held_by(hold, Some(&found))?.len() as u64, asked::told(reach, context)))
}

fn text(lines: &[Line<'_>], out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "RECORDS", "SINCE (UTC)", "RELEASED (UTC)", "MATTER", "COVERS"]);
    let time = |time: Timestamp| time.to_seconds_text().replace('T', " ").replace('Z', "");
    for line in lines {
        let scope = serde_json::to_string(line.scope).unwrap_or_default();
        let scope = if scope == "{}" { "everything".to_owned() } else { scope };
        table.add_row([
            Cell::new(plain(line.name)),
            Cell::new(line.records).set_alignment(CellAlignment::Right),
            Cell::new(time(line.added)),
            Cell::new(line.released.map_or_else(|| "-".to_owned(), time)),
            Cell::new(plain(line.matter)),
            Cell::new(plain(&scope)),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())
}
