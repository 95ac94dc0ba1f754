//! `init`.
use crate::cli::exit::{Code, Result};
/// x
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) struct Given {
    pub archive: Option<std::path::PathBuf>,
    pub config: Option<std::path::PathBuf>,
    pub cloud: Option<String>,
    pub env: super::Env,
}
pub(super) fn run(_args: &Args, _given: &Given) -> Result<Code> {
    Ok(Code::Done)
}
