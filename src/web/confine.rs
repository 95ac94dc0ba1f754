//! Gives up, for the calling thread and all that it starts, what a receiver has no use for.

/// How far the system saw to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// No file can be opened for writing, made or removed; where the kernel is new enough, nobody can be connected to.
    Kernel,
    /// The system has no means for it: the receiver has nothing but the inbox all the same, by how it is built.
    ByConstruction,
}

/// From here on this thread, and those that it starts, can change no file but those that are open. What is open stays so.
#[cfg(target_os = "linux")]
pub(super) fn confine() -> Confined {
    use landlock::{ABI, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus};
    let abi = ABI::V5;
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::ConnectTcp))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    match restricted {
        Ok(status) if status.ruleset != RulesetStatus::NotEnforced => Confined::Kernel,
        Ok(_) => Confined::ByConstruction,
        Err(error) => {
            tracing::warn!(%error, "the receiver could not be confined");
            Confined::ByConstruction
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn confine() -> Confined {
    Confined::ByConstruction
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "its files are its own")]
mod tests {
    use std::{fs, net::TcpStream, thread};

    use super::*;

    #[test]
    fn a_confined_thread_changes_nothing_but_what_it_has_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open");
        let mut open = fs::File::create(&path).unwrap();
        fs::write(dir.path().join("other"), "as it was").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (folder, other) = (dir.path().to_path_buf(), dir.path().join("other"));
        let seen = thread::spawn(move || {
            use std::io::Write;
            if confine() != Confined::Kernel {
                return false;
            }
            open.write_all(b"still").unwrap();
            let child = thread::spawn(move || {
                assert!(fs::write(&other, "changed").is_err());
                assert!(fs::write(folder.join("new"), "new").is_err());
                assert!(fs::remove_file(&other).is_err());
                assert!(fs::read(&other).is_ok());
                assert!(TcpStream::connect(address).is_err());
            });
            child.join().unwrap();
            true
        });
        if seen.join().unwrap() {
            assert_eq!(fs::read_to_string(&path).unwrap(), "still");
        }
        // Others are as free as before.
        fs::write(dir.path().join("other"), "changed").unwrap();
    }
}
