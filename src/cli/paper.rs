//! Shell completions and the manual page, both made from the arguments themselves.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{
    Args as Whole,
    exit::{Code, Result},
    to_stdout,
};

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {}

pub(super) fn completions(args: &CompletionsArgs) -> Result<Code> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Whole::command(), "callvault", &mut script);
    to_stdout(|out| out.write_all(&script))?;
    Ok(Code::Done)
}

pub(super) fn man(_: &ManArgs) -> Result<Code> {
    to_stdout(|out| clap_mangen::Man::new(Whole::command()).render(out))?;
    Ok(Code::Done)
}
