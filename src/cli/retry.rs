//! `retry`: what is still to fetch, now.

use std::collections::HashSet;

use crate::{
    cli::{
        Context,
        exit::{Code, Failure, Result},
        failures::{of_a_list, on_the_list},
        show::Format,
        sync::{once, sources},
        usage,
    },
    model::id::RecordKey,
    sync::{Reach, round::Round},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these records, by the ids that `failures` prints
    #[arg(value_name = "ID", conflicts_with = "source")]
    pub ids: Vec<String>,
    /// Only of these sources, separated by commas; only calls are fetched one by one
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub source: Vec<String>,
    /// Format of the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let named = sources(&args.source)?;
    let with_list: Vec<_> = of_a_list(&named).collect();
    if let Some(other) = named.iter().find(|source| !with_list.contains(source)) {
        return Err(usage(format!("--source: {other} comes whole with its pages, so nothing of it is ever queued"))
            .hint("sync it instead: callvault sync --source NAME"));
    }
    let archive = context.archive()?;
    let mut asked_for = Vec::new();
    if !args.ids.is_empty() {
        let mut missing: HashSet<String> = args.ids.iter().map(|id| id.to_lowercase()).collect();
        for source in &with_list {
            let todos = on_the_list(&archive, *source)?;
            asked_for.extend(todos.into_iter().map(|todo| todo.key).filter(|key: &RecordKey| {
                let is_meant = args.ids.iter().any(|id| id.eq_ignore_ascii_case(&key.id));
                missing.remove(&key.id.to_lowercase());
                is_meant
            }));
        }
        if let Some(id) = missing.iter().min() {
            return Err(Failure::new(Code::Usage, format!("{id} is not among what is still to fetch"))
                .hint("list what is: callvault failures"));
        }
    }
    drop(archive);
    let reach = if asked_for.is_empty() { Reach::Queue } else { Reach::AskedFor };
    once(&Round { named: with_list, reach, asked_for, ..Round::default() }, args.format, context)
}
