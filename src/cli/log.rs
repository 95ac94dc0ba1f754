//! Log lines on stderr, out of the way of the progress line.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Starts logging: `verbosity` below 0 is errors alone, 0 warnings, 1 what is waited for and done, 2 every request.
pub fn start(verbosity: i8, format: LogFormat, bars: &MultiProgress) {
    let filter = match verbosity {
        // The TLS verifier says again what our error says.
        ..0 => "error,rustls_platform_verifier=off",
        0 => "callvault=warn,error,rustls_platform_verifier=off",
        1 => "callvault=info,warn",
        _ => "callvault=debug,warn",
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_target(false)
        .with_writer(AboveBars(bars.clone()))
        .with_ansi(std::io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none());
    // A second start, as in tests within one process, keeps the first.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

#[derive(Clone)]
struct AboveBars(MultiProgress);

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
