//! A package as one file that only its recipients can read: `NAME.tar.age`.
//!
//! What is readable lies, as long as the work lasts, in a private folder, which is removed however the work ends; killed (SIGKILL, a power
//! cut), a folder called `.callvault-…` stays. The file itself is there whole or not at all.

use std::{
    env,
    ffi::OsString,
    fs::{self, File, Permissions},
    io::{self, Read, Seek, Write},
    ops::ControlFlow,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use rustix::process::Signal;

use super::{
    age::{self, Age},
    tarball::{self, Fault},
};
use crate::{
    cli::{
        exit::{Code, Failure, Result},
        usage,
    },
    export::{self, Report},
    package::{self, check::Summary, manifest::Manifest},
    proof::note::PublicKey,
    verify,
};

const SUFFIX: &str = ".tar.age";

/// How every secret key of age begins, in whatever case.
const SECRET: &str = "AGE-SECRET-KEY-";

/// How a file of age begins: as it is, and as text.
const BEGINNINGS: [&[u8]; 2] = [b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----"];

/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

// Who may read a package. No doc comment: clap would take it for the help of the command. And clap forgets that a package is required where
// what was given conflicts with one: hence both conditions.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Recipients {
    /// Encrypt the package to this public key (age1… or an SSH key) into the one file DIR.tar.age; the program age does it
    #[arg(long, value_name = "RECIPIENT", requires = "package", conflicts_with = "format")]
    recipient: Vec<String>,
    /// Encrypt the package to the public keys in this file, one a line
    #[arg(long, value_name = "FILE", requires = "package", conflicts_with = "format")]
    recipients_file: Vec<PathBuf>,
}

/// An encrypted package that is to be made.
pub(super) struct Encrypted {
    /// `NAME.tar.age`.
    pub file: PathBuf,
    /// What the folder in it is called.
    name: PathBuf,
    /// Where the file is to lie.
    beside: PathBuf,
    /// What age is told of the recipients.
    arguments: Vec<OsString>,
}

impl Encrypted {
    /// The package `named` for these recipients; `None` where there are none.
    ///
    /// # Errors
    /// [`Code::Usage`] where it could not be made: age is missing or takes a recipient for none, or there is such a file already.
    pub(super) fn new(named: &Path, recipients: &Recipients) -> Result<Option<Self>> {
        let mut arguments = Vec::new();
        for recipient in &recipients.recipient {
            if is_secret(recipient) {
                return Err(usage("--recipient: this is a secret key, whose place is a file of its owner's alone")
                    .hint("print the public key that belongs to it with: age-keygen -y FILE"));
            }
            arguments.extend(["-r".into(), recipient.into()]);
        }
        for file in &recipients.recipients_file {
            arguments.extend(["-R".into(), file.into()]);
        }
        if arguments.is_empty() {
            return Ok(None);
        }
        let name = named.file_name().ok_or_else(|| usage(format!("--package: {} has no name", named.display())))?;
        // Whoever names the file means the file.
        let name = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map_or(name.into(), OsString::from);
        if name.is_empty() || name.len() > tarball::NAME_BYTES_MAX {
            return Err(usage(format!(
                "--package: the name of an encrypted package has 1 to {} bytes",
                tarball::NAME_BYTES_MAX
            )));
        }
        let beside = named.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !beside.is_dir() {
            return Err(package::Error::NoFolder(beside.to_path_buf()).into());
        }
        let mut file_name = name.clone();
        file_name.push(SUFFIX);
        let file = named.with_file_name(file_name);
        if file.symlink_metadata().is_ok() {
            return Err(taken(&file));
        }
        // Nothing, encrypted to nobody's use: age says whether it could.
        if let Err(words) = Age::start(&arguments, Stdio::null(), Stdio::null())?.end()? {
            return Err(usage(format!("age does not take the recipients: {words}")));
        }
        Ok(Some(Self { file, name: name.into(), beside: beside.to_path_buf(), arguments }))
    }

    /// Makes it of the folder that `make` writes.
    ///
    /// # Errors
    /// Those of `make`; [`Code::Incomplete`] where a signal stopped it. Then there is no such file, and nothing readable.
    pub(super) fn write(
        &self,
        make: impl FnOnce(&Path, &mut dyn FnMut(&Report) -> ControlFlow<()>) -> export::Result<Manifest>,
    ) -> Result<Manifest> {
        let stop = Stop::on_signals()?;
        in_private_folder(&self.beside, |private| {
            let folder = private.join(&self.name);
            let mut on = |_: &Report| if stop.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let made = make(&folder, &mut on).map_err(|error| stop.or(error))?;
            self.encrypt(&folder, private, &stop)?;
            Ok(made)
        })
    }

    fn encrypt(&self, folder: &Path, private: &Path, stop: &Stop) -> Result<()> {
        let at_file = |error: io::Error| stop.or(package::Error::File { path: self.file.clone(), source: error });
        // Mode 0600, as tempfile makes its files.
        let unfinished = tempfile::Builder::new().prefix(".callvault-").tempfile_in(private).map_err(at_file)?;
        let stdout = unfinished.as_file().try_clone().map_err(at_file)?;
        let mut age = Age::start(&self.arguments, Stdio::piped(), stdout.into())?;
        let stdin = age.stdin().ok_or_else(|| at_file(io::ErrorKind::BrokenPipe.into()))?;
        let fed =
            tarball::write(folder, &self.name, io::BufWriter::with_capacity(1 << 16, Watched { of: stdin, stop }));
        if stop.is_asked() {
            return Err(stopped());
        }
        // Where it ended early, its own words say why.
        match (age.end()?, fed) {
            (Err(words), _) => {
                let message = format!("age could not write {}: {words}", self.file.display());
                return Err(stop.or(Failure::new(Code::Unexpected, message)));
            }
            (Ok(()), fed) => fed.map_err(at_file)?,
        }
        unfinished.as_file().sync_all().map_err(at_file)?;
        unfinished.persist_noclobber(&self.file).map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => taken(&self.file),
            _ => at_file(refused.error),
        })?;
        File::open(&self.beside).and_then(|folder| folder.sync_all()).map_err(at_file)
    }
}

/// Examines the package in `file`, decrypted with one of the keys in the files `identities`. `key` is as for a folder.
///
/// # Errors
/// [`Code::Usage`] where it cannot be read with these, [`Code::Integrity`] where it is not what was encrypted.
pub(super) fn check(file: &Path, identities: &[PathBuf], key: Option<&PublicKey>) -> Result<Summary> {
    let at_file = |error: io::Error| usage(format!("{}: {error}", file.display()));
    if file.is_dir() {
        return Err(usage(format!("--identity: {} is a folder, and not encrypted", file.display())));
    }
    let mut encrypted = File::open(file).map_err(at_file)?;
    let mut beginning = Vec::new();
    (&encrypted).take(64).read_to_end(&mut beginning).and_then(|_| encrypted.rewind()).map_err(at_file)?;
    if !BEGINNINGS.iter().any(|known| beginning.starts_with(known)) {
        return Err(usage(format!(
            "{} is no audit package: it is neither a folder nor a file that age encrypted",
            file.display()
        )));
    }
    if identities.is_empty() {
        return Err(usage(format!(
            "{} is encrypted: name the file with your key with --identity FILE",
            file.display()
        )));
    }
    let stop = Stop::on_signals()?;
    in_private_folder(&env::temp_dir(), |private| {
        decrypt(file, encrypted, identities, private, &stop)?;
        let folder = content(private)?;
        let mut summary = examine(folder, key.cloned(), &stop)?.map_err(|error| match error {
            package::Error::NoPackage(_) => usage(format!("{} holds no audit package", file.display())),
            other => other.into(),
        })?;
        summary.path = file.to_path_buf();
        Ok(summary)
    })
}

fn decrypt(file: &Path, encrypted: File, identities: &[PathBuf], into: &Path, stop: &Stop) -> Result<()> {
    let mut arguments = vec![OsString::from("-d")];
    arguments.extend(identities.iter().flat_map(|identity| ["-i".into(), identity.into()]));
    let mut age = Age::start(&arguments, encrypted.into(), Stdio::piped())?;
    let stdout = age.stdout().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
    let mut stream = Counted { of: Watched { of: stdout, stop }, bytes: 0 };
    let unpacked = tarball::unpack(&mut stream, into);
    if matches!(unpacked, Err(Fault::Stream(_))) {
        // age may not be at its end, where it knows whether all was whole.
        let _ = io::copy(&mut stream, &mut io::sink());
    }
    let bytes = stream.bytes;
    drop(stream);
    if stop.is_asked() {
        return Err(stopped());
    }
    let damaged = |what: String| Failure::new(Code::Integrity, format!("{}: {what}", file.display()));
    match unpacked {
        Err(fault @ Fault::Disk { .. }) => return Err(Failure::new(Code::Unexpected, fault.to_string()).hint(ROOM)),
        // age may be in the middle of writing, and is to end.
        Err(fault @ Fault::Foreign(_)) => return Err(damaged(fault.to_string())),
        Err(Fault::Stream(_)) | Ok(()) => {}
    }
    // What broke off the stream is told by age.
    match age.end()? {
        // Ctrl-C on a terminal ends age too.
        Err(_) if stop.is_asked() => Err(stopped()),
        Err(words) if bytes > 0 || age::is_damage(&words) => Err(damaged(words)),
        Err(words) => Err(usage(format!("age cannot read {}: {words}", file.display()))),
        Ok(()) => unpacked.map_err(|fault| damaged(fault.to_string())),
    }
}

const ROOM: &str = "a package is decrypted into the folder for temporary files; TMPDIR names another";

/// The one folder in what was unpacked; the whole of it where there is more than that.
fn content(private: &Path) -> io::Result<PathBuf> {
    let entries = fs::read_dir(private)?.collect::<io::Result<Vec<_>>>()?;
    Ok(match &entries[..] {
        [only] if only.file_type()?.is_dir() => only.path(),
        _ => private.to_path_buf(),
    })
}

/// Examines a folder in a thread of its own, which only reads: whoever asks for a stop has it at once.
fn examine(folder: PathBuf, key: Option<PublicKey>, stop: &Stop) -> Result<package::Result<Summary>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Whoever asked may be gone.
        let _ = sender.send(verify::package(&folder, key.as_ref()));
    });
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(summary) => return Ok(summary),
            Err(RecvTimeoutError::Timeout) if stop.is_asked() => return Err(stopped()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(Code::Unexpected, "the package could not be examined to its end"));
            }
        }
    }
}

/// Whether a word of the command line has a secret key of age in it.
pub(crate) fn is_secret(word: &str) -> bool {
    word.to_ascii_uppercase().contains(SECRET)
}

fn taken(file: &Path) -> Failure {
    usage(format!("{} is there already", file.display())).hint("name a package that does not exist")
}

/// Works in a folder that nobody else can look into and that is gone afterwards, whatever came of the work.
fn in_private_folder<T>(beside: &Path, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let private = tempfile::Builder::new()
        .prefix(".callvault-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(beside)
        .map_err(|error| Failure::new(Code::Unexpected, format!("{}: {error}", beside.display())))?;
    let path = private.path().to_path_buf();
    let done = work(&path);
    private.close().map_err(|error| {
        let outcome = done.as_ref().err().map_or_else(String::new, |failure| format!("{}; and ", failure.message));
        Failure::new(
            Code::Unexpected,
            format!("{outcome}what is readable could not be removed: {}: {error}", path.display()),
        )
        .hint("remove that folder")
    })?;
    done
}

fn stopped() -> Failure {
    Failure::new(Code::Incomplete, "stopped by a signal; nothing was left behind")
}

/// Whether a signal asked for a stop: Ctrl-C, a request to terminate, a terminal that went away.
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn on_signals() -> io::Result<Self> {
        let is_asked = Arc::new(AtomicBool::new(false));
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            signal_hook::flag::register(signal.as_raw(), Arc::clone(&is_asked))?;
        }
        Ok(Self(is_asked))
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// What went wrong, unless it is that somebody asked for a stop.
    fn or(&self, error: impl Into<Failure>) -> Failure {
        if self.is_asked() { stopped() } else { error.into() }
    }
}

/// A stream that fails when a stop is asked for.
struct Watched<'a, T> {
    of: T,
    stop: &'a Stop,
}

impl<T> Watched<'_, T> {
    fn look(&self) -> io::Result<()> {
        if self.stop.is_asked() { Err(io::Error::other("a stop is asked for")) } else { Ok(()) }
    }
}

impl<T: Read> Read for Watched<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.look()?;
        self.of.read(buffer)
    }
}

impl<T: Write> Write for Watched<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.look()?;
        self.of.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.of.flush()
    }
}

/// A stream whose bytes are counted.
struct Counted<T> {
    of: T,
    bytes: u64,
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.of.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}
