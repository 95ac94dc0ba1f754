//! Audit packages that only their recipients can read, made and opened with the real `age`.
//!
//! `CALLVAULT_NEEDS_AGE=1` makes it a failure that age is not installed.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    package::{self, files, script},
    support::{Bench, Ran, company, empty, end_of, finish},
};

/// Whether age is there; where it has to be and is not, the test has failed.
#[expect(clippy::print_stderr, reason = "that nothing was tested is to be seen")]
fn age_is_there() -> bool {
    let is_there = Command::new("age").arg("--version").output().is_ok();
    assert!(
        is_there || env::var_os("CALLVAULT_NEEDS_AGE").is_none(),
        "age is not installed, and CALLVAULT_NEEDS_AGE says that it has to be"
    );
    if !is_there {
        eprintln!("age is not installed: nothing was tested");
    }
    is_there
}

/// What a command says that has to work.
fn said(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A key of age: the file with it, and its recipient.
fn key(bench: &Bench, name: &str) -> (PathBuf, String) {
    let file = bench.beside(name);
    said(Command::new("age-keygen").arg("-o").arg(&file));
    let recipient = String::from_utf8(said(Command::new("age-keygen").arg("-y").arg(&file))).unwrap();
    (file, recipient.trim().to_owned())
}

/// Starts a command line whose temporary files go to the bench's folder `tmp`.
fn start(bench: &Bench, line: &str) -> Child {
    let tmp = bench.beside("tmp");
    fs::create_dir_all(&tmp).unwrap();
    let mut program = bench.program();
    program.env("PATH", env::var_os("PATH").unwrap()).env("TMPDIR", tmp).args(line.split_whitespace());
    program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn run(bench: &Bench, line: &str) -> Ran {
    finish(start(bench, line), line)
}

fn verify(bench: &Bench, file: &Path, identity: &Path) -> Ran {
    run(bench, &format!("verify --package {} --identity {}", file.display(), identity.display()))
}

/// A package of all that there is, in the clear and encrypted.
fn both(bench: &Bench, recipient: &str) -> (PathBuf, PathBuf) {
    let folder = bench.beside("clear");
    run(bench, &format!("export --package {}", folder.display())).ends_with(0);
    let named = bench.beside("audit");
    run(bench, &format!("export --package {} --recipient {recipient}", named.display())).ends_with(0);
    (folder, bench.beside("audit.tar.age"))
}

fn decrypted(file: &Path, identity: &Path) -> Vec<u8> {
    said(Command::new("age").arg("-d").arg("-i").arg(identity).arg(file))
}

/// Encrypts a tar archive of a folder's content, as somebody would by hand.
fn encrypted_by_hand(folder: &Path, recipient: &str, file: &Path) {
    let tar = said(Command::new("tar").arg("-C").arg(folder).args(["-cf", "-", "."]));
    encrypted_bytes(&tar, recipient, file);
}

fn encrypted_bytes(bytes: &[u8], recipient: &str, file: &Path) {
    let mut age = Command::new("age").args(["-r", recipient, "-o"]).arg(file).stdin(Stdio::piped()).spawn().unwrap();
    age.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(age.wait().unwrap().success());
}

/// What of the work lies about: beside the archive, and where temporary files go.
fn unfinished(bench: &Bench) -> Vec<String> {
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let tmp = bench.beside("tmp");
    let mut all = names(tmp.parent().unwrap());
    all.retain(|name| name.contains("callvault") || name.contains("partial"));
    all.extend(names(&tmp));
    all
}

#[test]
fn an_encrypted_package_is_the_package_to_its_recipient_and_nothing_to_others() {
    if !age_is_there() {
        return;
    }
    let bench = Bench::new(company(4, 8));
    bench.sync();
    let (identity, recipient) = key(&bench, "identity");
    let (folder, file) = both(&bench, &recipient);
    assert!(!bench.beside("audit").exists(), "the one file, and no folder");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(unfinished(&bench), [""; 0]);

    // Here it is checked as a folder is, without an archive.
    let summary = |line: &str| run(&bench, &format!("verify --format json --package {line}")).ends_with(0).json();
    let (clear, opened) = (
        summary(&folder.display().to_string()),
        summary(&format!("{} --identity {}", file.display(), identity.display())),
    );
    assert!(clear["contents"]["records"].as_u64().unwrap() > 20);
    for member in ["contents", "files", "bytes", "root", "is_signed", "findings_count"] {
        assert_eq!(clear[member], opened[member], "{member}");
    }
    assert_eq!(opened["path"], file.to_str().unwrap());
    assert_eq!(unfinished(&bench), [""; 0], "what was decrypted is gone");

    // And with common tools.
    let tar = decrypted(&file, &identity);
    let place = bench.beside("unpacked");
    fs::create_dir(&place).unwrap();
    fs::write(bench.beside("audit.tar"), &tar).unwrap();
    said(Command::new("tar").arg("-xf").arg(bench.beside("audit.tar")).arg("-C").arg(&place));
    assert_eq!(files(&place.join("audit")), files(&folder), "a folder of its own, with all files");
    let checked = script(&place.join("audit"), None);
    assert!(checked.status.success(), "{checked:?}");

    // The same again is the same archive under another layer. Whoever names the file means the file.
    let again = bench.beside("again");
    fs::create_dir(&again).unwrap();
    let again = again.join("audit.tar.age");
    run(&bench, &format!("export --package {} --recipient {recipient}", again.display()))
        .ends_with(0)
        .telling("--identity");
    assert!(decrypted(&again, &identity) == tar);
    assert!(fs::read(&again).unwrap() != fs::read(&file).unwrap());

    let other = key(&bench, "other").0;
    verify(&bench, &file, &other).ends_with(2).telling("no identity matched");
    assert_eq!(unfinished(&bench), [""; 0]);
}

#[test]
fn each_of_several_recipients_can_read_a_package() {
    if !age_is_there() {
        return;
    }
    let bench = Bench::new(company(2, 3));
    bench.sync();
    let keys = ["one", "two", "three"].map(|name| key(&bench, name));
    let ssh = bench.beside("ssh");
    let has_ssh = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&ssh).status().is_ok();
    let list = bench.beside("recipients");
    let of_ssh = if has_ssh { fs::read_to_string(bench.beside("ssh.pub")).unwrap() } else { String::new() };
    fs::write(&list, format!("# the auditors\n{}\n{of_ssh}", keys[2].1)).unwrap();
    let package = bench.beside("audit");
    let line = format!(
        "export --package {} --recipient {} --recipient {} --recipients-file {}",
        package.display(),
        keys[0].1,
        keys[1].1,
        list.display()
    );
    run(&bench, &line).ends_with(0);
    let file = bench.beside("audit.tar.age");
    for (identity, _) in &keys {
        verify(&bench, &file, identity).ends_with(0);
    }
    if has_ssh {
        verify(&bench, &file, &ssh).ends_with(0);
    }
    // The first that fits is enough.
    let other = key(&bench, "other").0;
    let line = format!("verify --package {} --identity {}", file.display(), other.display());
    run(&bench, &line).ends_with(2);
    run(&bench, &format!("{line} --identity {}", keys[0].0.display())).ends_with(0);
}

#[test]
fn what_cannot_be_encrypted_is_told_before_any_work() {
    if !age_is_there() {
        return;
    }
    // Nothing was pulled yet: whoever got as far as the archive would tell that.
    let bench = Bench::new(empty());
    let (identity, recipient) = key(&bench, "identity");
    let package = bench.beside("audit");
    let export = |flags: &str| run(&bench, &format!("export --package {} {flags}", package.display()));
    export("--recipient nonsense").ends_with(2).telling("\"nonsense\"");
    export(&format!("--recipient {recipient} --recipient {recipient}x")).ends_with(2).telling(&format!("{recipient}x"));
    export("--recipients-file /no/such/file").ends_with(2).telling("/no/such/file");
    export(&format!("--recipients-file {}", identity.display())).ends_with(2);
    for flag in [format!("--recipient {recipient}"), format!("--recipients-file {}", identity.display())] {
        run(&bench, &format!("export --format csv {flag}")).ends_with(2).telling("cannot be used with");
    }
    let nowhere = bench.beside("no/such/place");
    run(&bench, &format!("export --package {} --recipient {recipient}", nowhere.display()))
        .ends_with(2)
        .telling("no/such is no folder");
    export(&format!("--recipient {recipient}")).ends_with(2).telling("archive");

    let file = bench.beside("audit.tar.age");
    fs::write(&file, "mine").unwrap();
    export(&format!("--recipient {recipient}")).ends_with(2).telling("audit.tar.age is there already");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");

    // A secret key in place of a public one reaches neither message nor journal.
    bench.sync();
    let secret = fs::read_to_string(&identity).unwrap();
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    let told = export(&format!("--recipient {secret}")).ends_with(2).telling("secret key").stderr;
    let told = told + &export(&format!("--recipient={}", secret.to_lowercase())).ends_with(2).stderr;
    let journal = run(&bench, "journal --format json").ends_with(0).text();
    assert!(journal.contains("[a secret key]"), "{journal}");
    let end = &secret[secret.len() - 20..];
    assert!(!(told + &journal).to_uppercase().contains(end));

    // The command's own line of help is still its own.
    assert!(run(&bench, "export --help").ends_with(0).text().starts_with("Export records"));

    // Without the program there is one line that says so.
    let missing = |line: String| {
        let mut program = bench.program();
        program.env("PATH", bench.beside("nothing-here")).args(line.split_whitespace());
        finish(program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(), &line)
            .ends_with(2)
            .telling("age")
    };
    missing(format!("export --package {}-2 --recipient {recipient}", package.display())).telling("is not installed");
    encrypted_bytes(b"anything", &recipient, &bench.beside("some.age"));
    missing(format!("verify --package {} --identity {}", bench.beside("some.age").display(), identity.display()))
        .telling("is not installed");
    assert_eq!(unfinished(&bench), [""; 0]);
}

#[test]
fn a_file_that_was_changed_is_told_from_one_that_cannot_be_read() {
    if !age_is_there() {
        return;
    }
    let bench = Bench::new(company(2, 3));
    bench.sync();
    let (identity, recipient) = key(&bench, "identity");
    let (folder, file) = both(&bench, &recipient);
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.len() > 300_000);
    let changed = bench.beside("changed.tar.age");
    let verified = |bytes: &[u8]| {
        fs::write(&changed, bytes).unwrap();
        let ran = verify(&bench, &changed, &identity);
        assert_eq!(unfinished(&bench), [""; 0]);
        ran
    };
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let chunk = (1 << 16) + 16;
    for at in [1000, bytes.len() / 2, bytes.len() - 1] {
        verified(&flipped(at)).ends_with(6).telling("payload");
    }
    for end in [bytes.len() - 1, bytes.len() / 2, 5000, bytes.len() / chunk * chunk] {
        verified(&bytes[..end]).ends_with(6);
    }
    verified(&[&bytes[..], b"more"].concat()).ends_with(6);
    // Its last line of the header vouches for the header.
    let mac = bytes.windows(4).position(|four| four == b"--- ").unwrap() + 10;
    verified(&flipped(mac)).ends_with(6).telling("MAC");
    // What is none of age's files is no damage.
    verified(&flipped(3)).ends_with(2).telling("is no audit package");
    verified(b"").ends_with(2).telling("is no audit package");

    let line = |path: &Path, flags: &str| run(&bench, &format!("verify --package {} {flags}", path.display()));
    line(&file, "").ends_with(2).telling("--identity FILE");
    let own = format!("--identity {}", identity.display());
    line(&folder, &own).ends_with(2).telling("is a folder");
    line(&bench.beside("nowhere"), &own).ends_with(2).telling("nowhere");
    line(&file, "--identity /no/such/key").ends_with(2).telling("/no/such/key");
    line(&file, &format!("--identity {}", file.display())).ends_with(2);
    run(&bench, &own.replace("--identity", "verify --identity")).ends_with(2);

    // Encrypted by hand it is as good; and what is wrong within is found.
    let by_hand = |folder: &Path| {
        encrypted_by_hand(folder, &recipient, &changed);
        let ran = verify(&bench, &changed, &identity);
        assert_eq!(unfinished(&bench), [""; 0]);
        ran
    };
    by_hand(&folder).ends_with(0);
    let mut content = files(&folder);
    content.get_mut("data/records.ndjson").unwrap()[50] ^= 1;
    let other = bench.beside("other");
    package::write(&other, &content);
    assert!(by_hand(&other).ends_with(6).text().contains("data/records.ndjson"));
    package::write(&other, &files(&folder));
    symlink("/etc/hostname", other.join("data/link")).unwrap();
    by_hand(&other).ends_with(6).telling("neither file nor folder");
    fs::remove_dir_all(&other).unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), "no package").unwrap();
    by_hand(&other).ends_with(2).telling("holds no audit package");
    encrypted_bytes(&vec![b'x'; 1 << 20], &recipient, &bench.beside("text.age"));
    verify(&bench, &bench.beside("text.age"), &identity).ends_with(6).telling("no whole tar archive");
}

/// Waits until work has begun, and a while more.
fn into_its_work(bench: &Bench, child: &mut Child, wait: Duration) {
    while unfinished(bench).is_empty() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(wait);
}

#[test]
fn stopped_it_leaves_nothing_and_killed_nothing_that_looks_complete() {
    if !age_is_there() {
        return;
    }
    let bench = Bench::new(company(10, 20));
    bench.sync();
    let (identity, recipient) = key(&bench, "identity");
    let file = bench.beside("audit.tar.age");
    let export = format!("export --package {} --recipient {recipient}", bench.beside("audit").display());
    let (mut stopped, mut killed) = (0, 0);
    for n in 0..8 {
        for signal in ["-TERM", "-INT", "-KILL"] {
            let mut child = start(&bench, &export);
            into_its_work(&bench, &mut child, Duration::from_millis(n * 120));
            Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap();
            let code = end_of(&mut child, &export).code();
            // One that was killed in its last moment may have made it, whole.
            assert!(
                if code == Some(0) { file.exists() } else { code.is_none() || !file.exists() },
                "{signal} {code:?}"
            );
            let left = unfinished(&bench);
            if file.exists() {
                verify(&bench, &file, &identity).ends_with(0);
            }
            if code.is_none() {
                killed += 1;
                // What is left is in one folder, which nobody else may look into and whose name says what it is.
                for name in left {
                    assert!(name.starts_with(".callvault-"), "{name}");
                    let private = bench.beside(&name);
                    assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o700);
                    fs::remove_dir_all(private).unwrap();
                }
            } else {
                assert!(code == Some(0) || code == Some(3), "{code:?}");
                stopped += u32::from(code == Some(3));
                assert_eq!(left, [""; 0], "{signal}");
            }
            let _ = fs::remove_file(&file);
        }
    }
    assert!(stopped > 2 && killed > 1, "{stopped} stopped, {killed} killed");

    run(&bench, &export).ends_with(0);
    let line = format!("verify --package {} --identity {}", file.display(), identity.display());
    let mut stopped = 0;
    for n in 0..6 {
        let mut child = start(&bench, &line);
        into_its_work(&bench, &mut child, Duration::from_millis(n * 100));
        Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
        let code = end_of(&mut child, &line).code();
        assert!(code == Some(0) || code == Some(3), "{code:?}");
        stopped += u32::from(code == Some(3));
        assert_eq!(unfinished(&bench), [""; 0]);
    }
    assert!(stopped > 1, "{stopped}");
}
