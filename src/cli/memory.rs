//! In how many places the C library's allocator keeps what was freed: that is set before a process begins, or not at all.
//!
//! glibc gives each thread an arena of its own and keeps in each what the thread freed, the more of it the larger the largest block ever was. The
//! threads of a sync each meet a few records of megabytes, and then hold half as much again as is in use (docs/decisions/0018-lean.md). To set it from
//! within takes a call that the compiler cannot check, so the program begins anew in its own place, with the variable set: same process, same
//! words, two milliseconds. Where that cannot be done, or somebody has set how memory is handled, it goes on as it is.

use std::{env, os::unix::process::CommandExt, process::Command};

/// glibc's own, and what it is set to: two threads rarely want memory at the same moment, since a sync mostly waits for Graph.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");
/// Others by which somebody says how memory is to be handled.
const SET_BY_OTHERS: [&str; 4] = ["GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"];

/// Has the allocator keep less, for what runs for long: begins the program anew unless it is set already. Nothing may have been read, begun or said
/// before.
pub(super) fn keep_little() {
    if !cfg!(target_env = "gnu") || is_set(|name| env::var_os(name).is_some()) {
        return;
    }
    // It comes back only when it failed, and then nothing is lost but memory.
    if let Some(mut command) = anew() {
        let _ = command.exec();
    }
}

fn is_set(has: impl Fn(&str) -> bool) -> bool {
    has(ARENAS.0) || SET_BY_OTHERS.into_iter().any(has)
}

/// This program as it was called, with the variable set.
fn anew() -> Option<Command> {
    let mut words = env::args_os();
    let name = words.next()?;
    let mut command = Command::new(env::current_exe().ok()?);
    command.arg0(name).args(words).env(ARENAS.0, ARENAS.1);
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_anew_once_and_not_where_somebody_has_decided() {
        assert!(!is_set(|_| false));
        for name in SET_BY_OTHERS.into_iter().chain([ARENAS.0]) {
            assert!(is_set(|asked| asked == name), "{name}");
        }
        let command = anew().unwrap();
        assert_eq!(command.get_program(), env::current_exe().unwrap());
        assert!(command.get_args().eq(env::args_os().skip(1)));
        let set: Vec<_> = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?))).collect();
        assert!(is_set(|asked| set.iter().any(|(name, _)| *name == asked)), "it would begin again and again");
    }
}
