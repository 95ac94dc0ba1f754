//! How much of what was freed the C library's allocator keeps: that is set before a process begins, or not at all.
//!
//! glibc gives each thread an arena of its own and keeps in each what the thread freed, the more of it the larger the largest block ever was. The
//! threads of a sync each meet a few records of megabytes, and then hold half as much again as is in use (docs/decisions/0018-lean.md); so does whoever
//! reads an archive through (0023-flat.md). To set it from
//! within takes a call that the compiler cannot check, so the program begins anew in its own place, with variables set: same process, same
//! words, two milliseconds. Where that cannot be done, or somebody has set how memory is handled, it goes on as it is.

use std::{env, os::unix::process::CommandExt, path::Path, process::Command};

/// A variable of glibc's and what it is set to.
type Set = (&'static str, &'static str);

/// Two threads rarely want memory at the same moment: a sync mostly waits for Graph, and who reads an archive has two that are busy.
const ARENAS: Set = ("MALLOC_ARENA_MAX", "2");
/// Blocks from so many bytes on come from the system and go back there. Otherwise glibc raises this to the largest that was ever freed, a meeting of
/// sixteen megabytes, and holds twice as much. Smaller, it would ask the system for each record.
const LARGE: Set = ("MALLOC_MMAP_THRESHOLD_", "4194304");
/// By which somebody says how memory is to be handled.
const VARIABLES: [&str; 5] = [ARENAS.0, LARGE.0, "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"];

/// What a command does with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Many records in hand, each for as long as Graph takes.
    Fetches,
    /// The whole archive, in buffers that go from record to record.
    ReadsAll,
}

impl Use {
    fn sets(self) -> &'static [Set] {
        match self {
            Self::Fetches => &[ARENAS],
            Self::ReadsAll => &[ARENAS, LARGE],
        }
    }
}

/// Has the allocator keep less, for what runs for long: begins the program anew unless it is set already. Nothing may have been read, begun or said
/// before.
pub(super) fn keep_little(used: Use) {
    if !cfg!(target_env = "gnu") || is_set(|name| env::var_os(name).is_some()) {
        return;
    }
    // It comes back only when it failed: not where the program was replaced under its own feet, which is looked for before, since what is tried in vain
    // leaves signals as a new program would have them.
    if let Some(mut command) = anew(used).filter(|command| Path::new(command.get_program()).exists()) {
        let _ = command.exec();
    }
}

fn is_set(has: impl Fn(&str) -> bool) -> bool {
    VARIABLES.into_iter().any(has)
}

/// This program as it was called, with the variables set.
fn anew(used: Use) -> Option<Command> {
    let mut words = env::args_os();
    let name = words.next()?;
    let mut command = Command::new(env::current_exe().ok()?);
    command.arg0(name).args(words).envs(used.sets().iter().copied());
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_anew_once_and_not_where_somebody_has_decided() {
        assert!(!is_set(|_| false));
        for name in VARIABLES {
            assert!(is_set(|asked| asked == name), "{name}");
        }
        for used in [Use::Fetches, Use::ReadsAll] {
            let command = anew(used).unwrap();
            assert_eq!(command.get_program(), env::current_exe().unwrap());
            assert!(command.get_args().eq(env::args_os().skip(1)));
            let set: Vec<_> = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?))).collect();
            assert!(is_set(|asked| set.iter().any(|(name, _)| *name == asked)), "it would begin again and again");
        }
    }
}
