//! Plans of disposal, their approval, and carrying them out.

use std::{
    fs,
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    archive::{
        Archive, ArchiveWriter,
        policy::Planned,
        purge::{Disposal, Purged},
    },
    cli::{
        Context, access, checkpoint,
        exit::{Code, Failure, Result},
        hold, ledger_key, to_stdout, usage, whole,
    },
    model::{
        id::Sha256,
        source::Source,
        time::{Age, Timestamp},
    },
    retain::{
        self,
        plan::{self, Plan},
    },
};

/// So long after a sync the clock is believed without another.
const CLOCK_TRUSTED: Age = Age::days(31);

#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub(super) struct EraseArgs {
    /// Whom: object id, UPN or mail, or phone number; a name may be several people's
    #[arg(long, value_name = "WHO")]
    person: String,
    /// Why; goes into the ledger, where nothing can be taken out again: name nobody
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// What proves that it is right, such as the request; its SHA-256 goes into the ledger
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Say what would go and change nothing, as without --yes
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Dispose of it, for good
    #[arg(long)]
    yes: bool,
    /// Write the plan to this new file and enter it; with --yes, carry out this plan and nothing beyond it
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    plan: Option<PathBuf>,
    /// Go by this machine's clock although no sync has compared it with Graph's for long
    #[arg(long, requires = "yes")]
    trust_clock: bool,
    /// Also write the certificate of disposal to this new file
    #[arg(long, value_name = "FILE", requires = "yes")]
    certificate: Option<PathBuf>,
}

/// Makes a plan of the archive as it is now; the words are what names an erased person.
type Make<'a> = &'a dyn Fn(&Archive, Timestamp) -> Result<(Plan, Vec<String>)>;

pub(super) fn apply(args: &ApplyArgs, context: &Context) -> Result<Code> {
    let config = context.config.rules()?;
    dispose(&args.how, None, context, &|archive, now| {
        let rules = archive.rules()?;
        let rules = rules.ok_or_else(|| {
            usage("no rule of retention is in force: everything is kept")
                .hint("write rules into the config file, then: callvault retention set")
        })?;
        if rules.rules != config {
            return Err(usage("the rules in force are not those of the config file").hint(
                "look at both with callvault retention show; callvault retention set puts those of the file in force",
            ));
        }
        Ok((plan::by_rules(archive, &rules, access::user().person(), now)?, Vec::new()))
    })
}

pub(super) fn erase(args: &EraseArgs, context: &Context) -> Result<Code> {
    for (what, text) in [("--person", &args.person), ("--reason", &args.reason)] {
        if text.trim().is_empty() {
            return Err(usage(format!("{what} is empty")));
        }
    }
    let proof = fs::read(&args.proof).map_err(|error| usage(format!("--proof {}: {error}", args.proof.display())))?;
    let proof = Sha256::of(&proof).to_string();
    dispose(&args.how, Some(&args.person), context, &|archive, now| {
        let why = (args.reason.clone(), proof.clone());
        let (plan, words) = plan::erasure(archive, &args.person, why, access::user().person(), now)?;
        if let Some(held) = plan.held.first() {
            return Err(usage(format!(
                "the hold '{}' forbids it: it covers {} of the {} records",
                held.name,
                held.records,
                plan.records.len()
            ))
            .hint("nothing was disposed of; callvault hold list shows what holds cover"));
        }
        Ok((plan, words))
    })
}

fn dispose(how: &How, person: Option<&str>, context: &Context, make: Make<'_>) -> Result<Code> {
    if how.yes {
        return carry_out(how, person, context, make);
    }
    let archive = context.archive()?;
    let (plan, _) = make(&archive, context.graph_now(&archive)?)?;
    if let Some(path) = &how.plan {
        enter(&plan, path, context)?;
    }
    context.act.count(plan.records.len() as u64);
    to_stdout(|out| text(&plan, out))?;
    if how.plan.is_none() && !plan.records.is_empty() {
        context.note("nothing was changed; --yes disposes of it for good, --plan FILE writes down what that is");
    }
    Ok(Code::Done)
}

/// Writes a plan to a new file and enters it.
fn enter(plan: &Plan, path: &Path, context: &Context) -> Result<()> {
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    let signing = ledger_key::signed(context, &mut writer, context.now)?;
    let bytes = serde_json::to_vec_pretty(plan).map_err(std::io::Error::from)?;
    write_new(path, &bytes, "--plan")?;
    let seq = writer.enter_plan(Sha256::of(&bytes), plan.records.len() as u64, plan.by, Timestamp::now())?;
    hold::end(&mut writer, context)?;
    context.note(&format!("the plan is in {} and entered as {seq}", path.display()));
    Ok(signing.trouble()?)
}

pub(super) fn approve(path: &Path, context: &Context) -> Result<Code> {
    let (plan, sha256) = read(path)?;
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    ledger_key::signed(context, &mut writer, context.now)?.trouble()?;
    let seq = writer.approve_plan(sha256, access::user().person(), Timestamp::now())?;
    let code = hold::end(&mut writer, context)?;
    context.act.count(plan.records.len() as u64);
    to_stdout(|out| writeln!(out, "approved, ledger entry {seq}: {} records", plan.records.len()))?;
    Ok(code)
}

fn carry_out(how: &How, person: Option<&str>, context: &Context, make: Make<'_>) -> Result<Code> {
    let uid = access::user().person();
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    // What the key would not sign is not done.
    ledger_key::signed(context, &mut writer, context.now)?.trouble()?;
    retain::finish(&mut writer)?;
    writer.derive_missing(&mut |_| ControlFlow::Continue(()))?;
    let (plan, words, approved, now) = {
        let archive = Archive::open(&context.folder())?;
        let now = context.graph_now(&archive)?;
        if person.is_none() && !how.trust_clock {
            check_clock(&archive, now)?;
        }
        let (mut plan, words) = make(&archive, now)?;
        let approved = approved(how, &mut plan, &archive, context)?;
        // Who made it is who wrote it down.
        plan.by = approved.as_ref().map_or(plan.by, |(_, planned)| planned.made_by);
        (plan, words, approved, now)
    };
    if plan.records.is_empty() {
        context.note("nothing is due that is not held");
        return Ok(Code::Done);
    }
    let run = writer.begin_run("retention", now)?;
    let disposal = Disposal {
        records: plan.record_ids(),
        why: if person.is_some() { "erasure" } else { "rules" },
        person: person.map(str::to_owned),
        words,
        rules: plan.rules,
        plan: approved.as_ref().map(|(sha256, _)| *sha256),
        reason: plan.reason.clone(),
        proof: plan.proof.as_deref().and_then(Sha256::parse),
        uid,
        approved_by: approved.and_then(|(_, planned)| planned.approved_by),
    };
    let outcome = retain::carry_out(&mut writer, &disposal, (context.config.seal()?.1, now)).map_err(Failure::from);
    let (code, report) = match &outcome {
        Ok((purged, Ok(()))) => (Code::Done, format!("{} records disposed of", purged.records)),
        Ok((purged, Err(_))) => (Code::Incomplete, format!("{} records disposed of, traces left", purged.records)),
        Err(failure) => (failure.code, "nothing was disposed of".to_owned()),
    };
    let noted = writer.end_run(run, (code as u8, &report), None, Timestamp::now());
    let (purged, finished) = outcome?;
    context.act.count(purged.records);
    noted?;
    let certificate = certificate(&plan, &purged, &disposal, &writer, (now, finished.is_ok()))?;
    writer.keep_certificate(purged.seq, &certificate)?;
    let given = checkpoint::give_out(&mut writer, context);
    writer.checkpoint()?;
    to_stdout(|out| {
        text(&plan, out)?;
        writeln!(
            out,
            "disposed of {} records in {} versions, ledger entry {}; its certificate: callvault retention certificate {2}",
            purged.records, purged.versions, purged.seq
        )
    })?;
    if let Some(path) = &how.certificate {
        write_new(path, certificate.as_bytes(), "--certificate")?;
    }
    finished?;
    Ok(if given?.kept_back { Code::Incomplete } else { Code::Done })
}

/// A clock set years ahead would make everything due: it is to have been compared with Graph's lately.
fn check_clock(archive: &Archive, now: Timestamp) -> Result<()> {
    let mut last = None;
    for source in Source::ALL {
        last = last.max(archive.last_reporting_sync(source)?);
    }
    if last.is_some_and(|last| now < last + CLOCK_TRUSTED) {
        return Ok(());
    }
    let synced = last.map_or_else(
        || "there was no sync".to_owned(),
        |last| format!("the last sync was at {}", last.to_seconds_text()),
    );
    Err(usage(format!(
        "it is {} by this machine's clock, and {synced}: a clock that is ahead would make records due",
        now.to_seconds_text()
    ))
    .hint("sync first; where nothing is synced any more, look at the clock and add --trust-clock"))
}

/// Holds a plan against the one that was written down, and that against who made and approved it. Returns its hash and who did.
fn approved(how: &How, plan: &mut Plan, archive: &Archive, context: &Context) -> Result<Option<(Sha256, Planned)>> {
    let needs = context.config.needs_approval();
    let Some(path) = &how.plan else {
        if needs {
            return Err(usage("[disposal] approval: a second person has to approve a plan first").hint(
                "write one with --plan FILE; they run callvault retention approve FILE; then --yes --plan FILE",
            ));
        }
        return Ok(None);
    };
    let (written, sha256) = read(path)?;
    let refused = |what: &str| usage(format!("--plan {}: {what}", path.display()));
    let Some(planned) = archive.planned(sha256)? else {
        return Err(refused("this plan was never entered, or its file was changed since"));
    };
    if planned.done.is_some() {
        return Err(refused("it was carried out already"));
    }
    if needs && planned.approved_by.is_none() {
        return Err(refused("nobody has approved it").hint("a second person runs: callvault retention approve FILE"));
    }
    if (&written.why, &written.rules, &written.reason, &written.proof)
        != (&plan.why, &plan.rules, &plan.reason, &plan.proof)
    {
        return Err(refused("it is about something else").hint("write a new one with --plan and another file"));
    }
    let before = plan.records.len();
    plan.only_of(&written);
    if plan.why == "erasure" && plan.records.len() < before {
        return Err(refused("there are records of the person that are not in it").hint("write a new plan"));
    }
    if plan.records.len() < before {
        context
            .note(&format!("{} records are due by now that the plan has not; they stay", before - plan.records.len()));
    }
    Ok(Some((sha256, planned)))
}

fn read(path: &Path) -> Result<(Plan, Sha256)> {
    let trouble = |what: String| usage(format!("the plan {}: {what}", path.display()));
    let bytes = fs::read(path).map_err(|error| trouble(error.to_string()))?;
    let plan = serde_json::from_slice(&bytes).map_err(|error| trouble(error.to_string()))?;
    Ok((plan, Sha256::of(&bytes)))
}

/// Never over another file.
fn write_new(path: &Path, bytes: &[u8], flag: &str) -> Result<()> {
    whole::write(path, bytes, false).map_err(|error| usage(format!("{flag} {}: {error}", path.display())))
}

/// What would go, or went.
pub(super) fn text(plan: &Plan, out: &mut dyn Write) -> std::io::Result<()> {
    if plan.records.is_empty() {
        writeln!(out, "nothing is due that is not held")?;
    }
    for (kind, of_kind) in plan.by_kind() {
        let time = |time: Option<Timestamp>| time.map_or_else(|| "?".to_owned(), Timestamp::to_seconds_text);
        writeln!(
            out,
            "{kind}: {} records in {} versions, begun {} to {}",
            of_kind.records,
            of_kind.versions,
            time(of_kind.first_start),
            time(of_kind.last_start)
        )?;
    }
    if plan.uncertain > 0 {
        writeln!(
            out,
            "left: {} records that may be another's: a number with stars, or one that others in the directory have too",
            plan.uncertain
        )?;
    }
    plan.held.iter().try_for_each(|held| {
        writeln!(out, "held: {} records, by the hold '{}'", held.records, crate::cli::render::plain(&held.name))
    })
}

fn certificate(
    plan: &Plan,
    purged: &Purged,
    disposal: &Disposal,
    writer: &ArchiveWriter,
    (now, finished): (Timestamp, bool),
) -> Result<String> {
    let checkpoint = writer.newest_checkpoint()?;
    let value: Value = json!({
        "certificate": "callvault certificate of disposal, format 1",
        "archive": writer.ledger_key()?.map(|key| key.origin),
        "entry": purged.seq,
        "disposed": now,
        "finished": finished,
        "why": disposal.why,
        "rules": disposal.rules,
        "reason": disposal.reason,
        "proof": plan.proof,
        "plan": disposal.plan.map(|plan| plan.to_string()),
        "planned_by": plan.by,
        "carried_out_by": disposal.uid,
        "approved_by": disposal.approved_by,
        "records": purged.records,
        "versions": purged.versions,
        "kinds": plan.by_kind(),
        "versions_sha256": purged.sha256.to_string(),
        "sealed_files_made_anew": purged.files,
        "held_back": plan.held,
        "checkpoint": checkpoint.map(|stored| stored.note),
    });
    Ok(serde_json::to_string_pretty(&value).map_err(std::io::Error::from)?)
}
