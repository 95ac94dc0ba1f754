//! Programs of the operator's that are given something to read: a checkpoint, an alert.

use std::{
    io::{self, Write},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often it is looked whether a program with a limit has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Starts the program with its arguments (`words`), gives it `input` to read, and waits for its end, at most for `limit`; then it is ended.
///
/// # Errors
/// One line that names the program: it cannot be started, it fails, or it goes on for too long.
pub(super) fn feed(words: &[String], input: &str, limit: Option<Duration>) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let trouble = |error: io::Error| format!("{program}: {error}");
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(trouble)?;
    let stdin = child.stdin.take();
    let input = input.to_owned();
    // It may not read: then the writing ends with it.
    let writing = thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes())));
    let Some(status) = end_of(&mut child, limit).map_err(trouble)? else {
        return Err(format!("{program}: it was still running after {} s", limit.unwrap_or_default().as_secs()));
    };
    if !status.success() {
        return Err(format!("{program}: it ended with {status}"));
    }
    match writing.join().unwrap_or(Ok(())) {
        // One that ends without reading it all may have what it wants.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(trouble(error)),
        _ => Ok(()),
    }
}

/// How a program ended; `None` where it had to be ended.
fn end_of(child: &mut Child, limit: Option<Duration>) -> io::Result<Option<ExitStatus>> {
    let Some(limit) = limit else { return child.wait().map(Some) };
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(words: &[&str], input: &str) -> Result<(), String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        feed(&words, input, Some(Duration::from_secs(1)))
    }

    #[test]
    fn a_program_that_fails_or_does_not_end_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read");
        let read = format!("cat > {}", path.display());
        assert_eq!(fed(&["sh", "-c", &read], "words"), Ok(()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "words");
        // More than a pipe takes, to a program that reads none of it.
        let long = "x".repeat(1 << 20);
        assert_eq!(fed(&["true"], &long), Ok(()));
        assert!(fed(&["false"], "").unwrap_err().starts_with("false: it ended with"));
        assert!(fed(&["sleep", "60"], &long).unwrap_err().contains("sleep: it was still running after 1 s"));
        assert!(fed(&["no-such-program-anywhere"], "").unwrap_err().starts_with("no-such-program-anywhere: "));
        assert_eq!(fed(&[], "nobody"), Ok(()));
    }
}
