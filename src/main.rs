//! Parses, runs, ends with the contract's exit code.

use std::process::ExitCode;

/// What is made on one thread and dropped on another, as records are, costs glibc's allocator a tenth of all time and, in its
/// arenas, memory (docs/decisions/0013-less-work-a-record.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    callvault::cli::main()
}
