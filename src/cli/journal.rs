//! `journal`: who asked the archive what.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::{
    archive::access::{Act, JournalReader},
    cli::{
        Context, ask,
        exit::{Code, Result},
        query::Format,
        render::plain,
        to_stdout,
    },
    tables::csv::neutral,
};

/// Show who asked the archive what: every query, show, export, verification, hold and disposal
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// At or after: 2026-11-01T00:00:00Z, 2026-11-01, or an age such as 36h, 7d, 2w
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only by this user of the operating system: name or number
    #[arg(long, value_name = "USER")]
    user: Vec<String>,
    /// Only this command, such as query or "hold add"
    #[arg(long, value_name = "COMMAND")]
    command: Vec<String>,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let from = ask::time("--from", args.from.as_deref(), context.now)?;
    let to = ask::time("--to", args.to.as_deref(), context.now)?;
    context.archive()?;
    let mut acts = match JournalReader::open(&context.folder())? {
        Some(journal) => journal.acts()?,
        None => Vec::new(),
    };
    acts.retain(|act| {
        from.is_none_or(|from| act.time >= from)
            && to.is_none_or(|to| act.time < to)
            && (args.user.is_empty() || args.user.iter().any(|user| is_by(act, user)))
            && (args.command.is_empty() || args.command.contains(&act.command))
    });
    context.act.count(acts.len() as u64);
    to_stdout(|out| write(&acts, args.format, out))?;
    if acts.is_empty() {
        context.note("the journal has nothing of the kind");
    }
    Ok(Code::Done)
}

fn is_by(act: &Act, user: &str) -> bool {
    act.user.name.as_deref() == Some(user)
        || [Some(act.user.uid), act.user.login_uid].contains(&user.parse().ok()) && user.parse::<u32>().is_ok()
}

fn write(acts: &[Act], format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => {
            serde_json::to_writer(&mut *out, acts)?;
            writeln!(out)
        }
        Format::Ndjson => acts.iter().try_for_each(|act| {
            serde_json::to_writer(&mut *out, act)?;
            writeln!(out)
        }),
        Format::Csv => csv(acts, out),
        Format::Table if acts.is_empty() => Ok(()),
        Format::Table => table(acts, out),
    }
}

fn csv(acts: &[Act], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    writer.write_record([
        "n",
        "time",
        "uid",
        "user",
        "login_uid",
        "command",
        "arguments",
        "count",
        "exit_code",
        "ended",
    ])?;
    for act in acts {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        writer.write_record([
            act.n.to_string(),
            act.time.to_string(),
            act.user.uid.to_string(),
            neutral(act.user.name.as_deref().unwrap_or_default()).into_owned(),
            number(act.user.login_uid.map(u64::from)),
            act.command.clone(),
            neutral(&typed(act)).into_owned(),
            number(act.count),
            number(act.exit_code.map(u64::from)),
            act.ended.map(|ended| ended.to_string()).unwrap_or_default(),
        ])?;
    }
    writer.flush()
}

fn table(acts: &[Act], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TIME (UTC)", "USER", "COMMAND", "COUNT", "EXIT", "TYPED"]);
    for act in acts {
        let user = act.user.name.clone().unwrap_or_else(|| act.user.uid.to_string());
        let user = act.user.login_uid.map_or_else(|| user.clone(), |login| format!("{user} (login {login})"));
        table.add_row([
            Cell::new(act.time.to_seconds_text().replace('T', " ").replace('Z', "")),
            Cell::new(plain(&user)),
            Cell::new(plain(&act.command)),
            Cell::new(act.count.map_or_else(|| "-".to_owned(), |count| count.to_string()))
                .set_alignment(CellAlignment::Right),
            Cell::new(act.exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string())),
            Cell::new(plain(&typed(act))),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())
}

/// What was typed, as a shell would take it again.
fn typed(act: &Act) -> String {
    let Some(arguments) = &act.arguments else { return "(emptied by a disposal)".to_owned() };
    let is_simple = |word: &str| {
        !word.is_empty() && word.chars().all(|letter| letter.is_alphanumeric() || "-_./:=@+,*".contains(letter))
    };
    let word = |word: &String| {
        if is_simple(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    arguments.iter().map(word).collect::<Vec<_>>().join(" ")
}
