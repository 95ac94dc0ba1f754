//! Parses, runs, ends with the contract's exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    callvault::cli::main()
}
