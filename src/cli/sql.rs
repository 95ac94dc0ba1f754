//! `sql`: any question, in SQL, over the views of docs/schema.md. It only reads.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    archive::sql::{Answer, Error, Interrupt, Sql},
    cli::{
        Context,
        exit::{Code, Failure, Result},
        query::Format,
        render::rows::Writer,
        signals, statements, usage,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Statements, each but the last ended by a semicolon
    #[arg(value_name = "QUERY")]
    pub query: Option<String>,
    /// Format of the answers
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

const HELP: &str = "\
.tables           names of the views, then of the tables
.schema [NAME]    how they were made
.mode FORMAT      answer as table, json, ndjson or csv
.quit             end, as Ctrl-D does; Ctrl-C ends a statement that runs for too long
raw(ID), raw(ID, VERSION) are the archived JSON, as in: SELECT raw(id) ->> '$.sessions[0].id' FROM calls LIMIT 3;
";

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let archive = context.archive()?;
    archive.require_rows()?;
    let mut shell = Shell { sql: Sql::open(&context.folder())?, format: args.format, context };
    if let Some(query) = &args.query {
        return shell.run_all(query);
    }
    if io::stdin().is_terminal() {
        return shell.converse();
    }
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let text = String::from_utf8(input).map_err(|_| usage("stdin: the statements are not UTF-8"))?;
    shell.run_all(&text)
}

struct Shell<'a> {
    sql: Sql,
    format: Format,
    context: &'a Context,
}

impl Shell<'_> {
    /// Runs what a script holds, and ends with the first that fails.
    fn run_all(&mut self, text: &str) -> Result<Code> {
        let pieces = statements::pieces(text);
        let n_statements = pieces.iter().filter(|piece| !piece.starts_with('.')).count();
        if self.format == Format::Json && n_statements > 1 {
            return Err(usage("--format json is one document, of one statement; --format ndjson takes several"));
        }
        for piece in pieces {
            if !self.run_one(piece)? {
                break;
            }
        }
        Ok(Code::Done)
    }

    /// Reads statements from a terminal until its end; one that fails ends nothing.
    fn converse(&mut self) -> Result<Code> {
        let is_running = Arc::new(AtomicBool::new(false));
        stop_on_ctrl_c(self.sql.interrupt(), Arc::clone(&is_running))?;
        self.context.note("read-only SQL over the archive; .help tells more, .quit ends");
        let mut lines = io::stdin().lock().lines();
        let mut pending = String::new();
        loop {
            let prompt = if pending.is_empty() { "callvault> " } else { "      ...> " };
            write!(io::stderr(), "{prompt}")?;
            let Some(line) = lines.next().transpose()? else {
                writeln!(io::stderr())?;
                return Ok(Code::Done);
            };
            pending.push_str(&line);
            pending.push('\n');
            if !statements::is_complete(&pending) {
                continue;
            }
            let text = std::mem::take(&mut pending);
            for piece in statements::pieces(&text) {
                is_running.store(true, Ordering::SeqCst);
                let outcome = self.run_one(piece);
                is_running.store(false, Ordering::SeqCst);
                match outcome {
                    Ok(true) => {}
                    Ok(false) => return Ok(Code::Done),
                    Err(failure) if failure.is_closed_pipe() => return Err(failure),
                    Err(failure) => {
                        writeln!(io::stderr(), "{failure}")?;
                        break;
                    }
                }
            }
        }
    }

    /// Whether it goes on after this.
    fn run_one(&mut self, piece: &str) -> Result<bool> {
        let Some(command) = piece.strip_prefix('.') else {
            self.answer(piece)?;
            return Ok(true);
        };
        let mut out = io::stdout().lock();
        match command.split_whitespace().collect::<Vec<_>>()[..] {
            ["quit" | "exit"] => return Ok(false),
            ["help"] => out.write_all(HELP.as_bytes())?,
            ["tables"] => self.sql.names()?.iter().try_for_each(|name| writeln!(out, "{name}"))?,
            ["schema"] => self.sql.schema(None)?.iter().try_for_each(|sql| writeln!(out, "{sql}"))?,
            ["schema", name] => match self.sql.schema(Some(name))? {
                none if none.is_empty() => return Err(usage(format!(".schema: there is no table or view {name}"))),
                statements => statements.iter().try_for_each(|sql| writeln!(out, "{sql}"))?,
            },
            ["mode", format] => {
                self.format = <Format as clap::ValueEnum>::from_str(format, true).map_err(|_| {
                    usage(format!(".mode: there is no format {format}; take table, json, ndjson or csv"))
                })?;
            }
            _ => return Err(usage(format!("there is no command .{command}")).hint(".help tells which there are")),
        }
        Ok(true)
    }

    fn answer(&self, statement: &str) -> Result<()> {
        let stdout = io::stdout();
        let columns_max = stdout.is_terminal().then_some(CELL_COLUMNS_MAX);
        let mut out = io::BufWriter::with_capacity(1 << 16, stdout.lock());
        let mut writer = Writer::new(self.format, columns_max, &mut out);
        let mut is_empty = false;
        self.sql.ask(statement, &mut |part| match part {
            Answer::Columns(columns) => {
                is_empty = true;
                writer.begin(columns)
            }
            Answer::Row(cells) => {
                is_empty = false;
                writer.row(cells)
            }
            Answer::End => writer.end(),
        })?;
        out.flush()?;
        if is_empty && self.format == Format::Table {
            self.context.note("no rows");
        }
        Ok(())
    }
}

/// On a terminal a longer cell is cut; a file or a pipe gets all of it.
const CELL_COLUMNS_MAX: usize = 80;

/// Ctrl-C ends the statement that runs; at the prompt, the program.
fn stop_on_ctrl_c(interrupt: Interrupt, is_running: Arc<AtomicBool>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                signals::to_stop().await;
                if !is_running.load(Ordering::SeqCst) {
                    let _ = writeln!(io::stderr());
                    std::process::exit(Code::Done as i32);
                }
                interrupt.interrupt();
            }
        });
    });
    Ok(())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Refused { place, .. } => {
                let failure = Failure::new(Code::Usage, message);
                match place {
                    Some((line, column)) => failure.shown(&line, column),
                    None => failure,
                }
            }
            Error::WouldWrite(_) => Failure::new(Code::Usage, message),
            Error::Interrupted => Failure::new(Code::Incomplete, message),
            Error::Archive(error) => error.into(),
            Error::Io(error) => error.into(),
        }
    }
}
