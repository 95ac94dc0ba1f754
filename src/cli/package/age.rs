//! The program `age`, which encrypts and decrypts. It is handed keys by name and reads them itself: no secret passes through here.

use std::{
    ffi::OsString,
    io::{self, Read},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
};

use crate::cli::{
    exit::{Failure, Result},
    render::plain,
    usage,
};

const PROGRAM: &str = "age";

/// Characters of its words that are told: it may quote what it was given, however long that is.
const WORDS_MAX: usize = 300;

/// The program at work. Dropped before its end, it is ended.
pub(super) struct Age {
    child: Child,
    said: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl Age {
    /// # Errors
    /// [`Code::Usage`](crate::cli::exit::Code::Usage) where it is not installed.
    pub(super) fn start(arguments: &[OsString], stdin: Stdio, stdout: Stdio) -> Result<Self> {
        let started = Command::new(PROGRAM).args(arguments).stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => usage("the program age, which encrypts and decrypts packages, is not installed")
                .hint("install the package age of your system, or take it from https://age-encryption.org"),
            _ => Failure::from(error).hint("it is the program age that could not be started"),
        })?;
        // Read beside the work: a program that says more than a pipe takes would wait for its reader.
        let said = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut said = Vec::new();
                stderr.read_to_end(&mut said).map(|_| said)
            })
        });
        Ok(Self { child, said })
    }

    /// What it reads, where that was to be a pipe.
    pub(super) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// What it writes, where that was to be a pipe.
    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for its end. In the error are its own words.
    pub(super) fn end(mut self) -> Result<std::result::Result<(), String>> {
        let status = self.child.wait()?;
        let said = self.said.take().and_then(|said| said.join().ok()).transpose()?.unwrap_or_default();
        if status.success() {
            return Ok(Ok(()));
        }
        let words = words(&String::from_utf8_lossy(&said));
        Ok(Err(if words.is_empty() { format!("it ended with {status}") } else { words }))
    }
}

impl Drop for Age {
    fn drop(&mut self) {
        // Of one that has ended there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it said went wrong, in one line.
fn words(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("age: report "));
    let bare = |line: &str| {
        let line = line.strip_prefix("age: ").unwrap_or(line);
        plain(line.strip_prefix("error: ").unwrap_or(line)).into_owned()
    };
    let words = lines.map(bare).collect::<Vec<_>>().join("; ");
    match words.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// Whether its words are about a file that it had the key for and that is not what was written.
pub(super) fn is_damage(words: &str) -> bool {
    ["payload", "header MAC"].iter().any(|what| words.contains(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_one_line_without_its_advice() {
        let said = "age: error: unknown recipient type: \"x\"\nage: hint: read\u{7} it\nage: report unexpected or unhelpful errors at …\n";
        assert_eq!(words(said), "unknown recipient type: \"x\"; hint: read\\u{7} it");
        assert_eq!(words(&"é".repeat(1000)).chars().count(), WORDS_MAX + 1);
        assert!(is_damage("failed to decrypt and authenticate payload chunk") && is_damage("bad header MAC"));
        assert!(!is_damage("no identity matched any of the recipients"));
    }
}
