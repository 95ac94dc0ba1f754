//! Seals a month: writes its file, reads it back, enters it, has the frames emptied. A crash anywhere leaves every body in its frame, in a file
//! that was read back, or in both; the next sealing goes on from there.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, BufWriter, ErrorKind, Write},
    ops::ControlFlow,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use rusqlite::{Connection, params};
use tempfile::NamedTempFile;

use crate::{
    archive::{
        ArchiveWriter,
        error::{Error, Result},
        folder::{Folder, UNFINISHED},
        ledger::{self, Entry},
        rows::kind_code,
        sealed::{
            VolumeName, check,
            manifest::{Contents, Manifest},
            reader::Place,
            seekable::{FRAME_BYTES, SeekableWriter},
            table::{self, Choice, Volume},
        },
        versions::VersionReader,
    },
    model::{
        id::{Seq, Sha256},
        kind::Kind,
        line::{self, Lines},
        month::Month,
        time::Timestamp,
    },
};

/// What is to be sealed, and how.
#[derive(Clone, Debug)]
pub struct Sealing {
    pub month: Month,
    /// Kinds of this month that cannot change any more.
    pub kinds: Vec<Kind>,
    /// zstd's, 1 to 22.
    pub level: i32,
    pub now: Timestamp,
}

/// How far a sealing is, in versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub month: Month,
    pub step: Step,
    pub done: u64,
    pub total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Write,
    ReadBack,
    Empty,
}

/// Told how far it is; may stop it, which loses nothing.
pub type OnProgress<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// A file that is whole and on disk, under a name that nobody sees yet.
struct Written {
    file: NamedTempFile,
    places: Vec<(Seq, Place)>,
}

/// A file that has its name and is in no ledger yet.
pub(crate) struct Rewritten {
    volume_id: i64,
    places: Vec<(Seq, Place)>,
    contents: Contents,
    entry: Entry,
}

impl ArchiveWriter {
    /// Writes those versions of a file that stay into another one, reads it back and gives it its name. Until it is entered
    /// ([`enter_rewritten`]), the next sealing takes it away again.
    pub(crate) fn rewrite(
        &mut self,
        volume: &Volume,
        stays: &[Choice],
        level: i32,
        now: Timestamp,
    ) -> Result<Rewritten> {
        let sealing = Sealing { month: volume.name.month, kinds: Vec::new(), level, now };
        let name = self.free_name(sealing.month)?;
        let on: &mut OnProgress<'_> = &mut |_| ControlFlow::Continue(());
        let changed = || Error::Volume { path: name.path(&self.folder), what: "could not be made anew".into() };
        let written = self.write(name, stays, &sealing, on)?.ok_or_else(changed)?;
        let contents = self.read_back(&written, &sealing, on)?.ok_or_else(changed)?;
        self.give_name(name, written, contents, &sealing)
    }

    /// Seals what there is of a month in frames. `None` when there is nothing, or it was stopped before it was done: then nothing has
    /// changed.
    ///
    /// # Errors
    /// [`Error::DiskFull`] and others: every body is where it was, or in a file that was read back.
    pub fn seal(&mut self, sealing: &Sealing, on: &mut OnProgress<'_>) -> Result<Option<Volume>> {
        self.tidy(sealing.month)?;
        let choices = table::choose(&self.connection, sealing.month, &sealing.kinds)?;
        if choices.is_empty() {
            return Ok(None);
        }
        let name = self.free_name(sealing.month)?;
        make_folder(&self.folder, name)?;
        let Some(written) = self.write(name, &choices, sealing, on)? else { return Ok(None) };
        let Some(contents) = self.read_back(&written, sealing, on)? else { return Ok(None) };
        let outcome = self.enter(name, written, contents, sealing);
        if outcome.is_err() {
            // A file that is in no ledger is not left behind; if this fails as well, the next sealing does it.
            let _ = self.tidy(sealing.month);
        }
        outcome?;
        let sealed = |connection: &Connection| -> Result<Option<Volume>> {
            Ok(table::volumes(connection)?.into_iter().find(|volume| volume.name == name))
        };
        if let Some(volume) = sealed(&self.connection)? {
            // Stopped half-way, the next sealing goes on.
            let _ = self.finish(&volume, on)?;
        }
        sealed(&self.connection)
    }

    /// Takes away what a sealing that was cut off left: files that are in no ledger, whose bodies are all in their frames.
    pub(crate) fn tidy(&mut self, month: Month) -> Result<()> {
        self.forget_unentered()?;
        let folder = VolumeName { month, n: 1 }.folder(&self.folder);
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED)) {
            remove(&entry.path())?;
        }
        Ok(())
    }

    /// Takes away files that were made and never entered in the ledger. What has come under such a name since is somebody else's
    /// and stays.
    pub(crate) fn forget_unentered(&mut self) -> Result<()> {
        for volume in table::volumes(&self.connection)?.into_iter().filter(|volume| volume.seq.is_none()) {
            let folder = volume.name.folder(&self.folder);
            let made = [(volume.name.file(), volume.sha256), (volume.name.manifest(), volume.manifest_sha256)];
            for (path, sha256) in made.map(|(file, sha256)| (folder.join(file), sha256)) {
                match File::open(&path).and_then(|file| check::hash(&file)) {
                    Ok((_, found)) if found == sha256 => remove(&path)?,
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(disk(&path, error)),
                    _ => {}
                }
            }
            self.connection.execute("DELETE FROM volume WHERE volume_id = ?1 AND seq IS NULL", [volume.id])?;
        }
        Ok(())
    }

    /// The next name of the month under which nothing stands, also no file of which this database does not know.
    fn free_name(&self, month: Month) -> Result<VolumeName> {
        let sql = "SELECT coalesce(max(n), 0) + 1 FROM volume WHERE month = ?1";
        let mut name = VolumeName { month, n: self.connection.query_row(sql, [month.to_string()], |row| row.get(0))? };
        let folder = name.folder(&self.folder);
        while folder.join(name.file()).exists() || folder.join(name.manifest()).exists() {
            name.n += 1;
        }
        Ok(name)
    }

    fn write(
        &self,
        name: VolumeName,
        choices: &[Choice],
        sealing: &Sealing,
        on: &mut OnProgress<'_>,
    ) -> Result<Option<Written>> {
        let path = name.path(&self.folder);
        let failed = |error| disk(&path, error);
        let file = temporary(&name.folder(&self.folder)).map_err(failed)?;
        let mut writer = SeekableWriter::new(BufWriter::new(file), sealing.level).map_err(failed)?;
        let mut reader = VersionReader::new(&self.connection, &self.folder);
        let mut places = Vec::with_capacity(choices.len());
        let mut content = Vec::new();
        let mut rest = choices;
        while !rest.is_empty() {
            let (of_frame, others) = rest.split_at(versions_of_a_frame(rest));
            rest = others;
            content.clear();
            let mut pieces = Vec::with_capacity(of_frame.len());
            for choice in of_frame {
                let from = content.len();
                let stored = reader.read(choice.seq)?;
                line::write(&mut content, choice.seq, &stored.info.key, stored.info.version, &stored.document.parts);
                pieces.push((choice.seq, from, content.len() - from));
            }
            let frame = writer.frame(&content).map_err(failed)?;
            places.extend(pieces.into_iter().map(|(seq, lines_from, lines_bytes)| {
                let (frame_from, frame_bytes) = (frame.from, frame.bytes as usize);
                (seq, Place { volume: name, frame_from, frame_bytes, lines_from, lines_bytes })
            }));
            if told(on, sealing, Step::Write, places.len(), choices.len()).is_break() {
                return Ok(None);
            }
        }
        let out = writer.finish().map_err(failed)?;
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        make_final(file.as_file()).map_err(failed)?;
        Ok(Some(Written { file, places }))
    }

    /// Reads the file from the disk and finds every body equal, byte for byte, with the one in its frame.
    fn read_back(&self, written: &Written, sealing: &Sealing, on: &mut OnProgress<'_>) -> Result<Option<Contents>> {
        let path = written.file.path();
        let file = File::open(path).map_err(|error| disk(path, error))?;
        // What the system still has in memory proves nothing about the disk.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        let mut frames = VersionReader::new(&self.connection, &self.folder);
        let mut places = written.places.iter();
        let (mut done, mut trouble, mut stopped) = (0, None, false);
        let read = check::read(&file, &mut |found, version| {
            let place = places.next().ok_or("there is more in it than was written")?;
            let same = is_same(place, &found, &version, &mut frames).map_err(|error| {
                let text = error.to_string();
                trouble = Some(error);
                text
            })?;
            done += 1;
            stopped = stopped
                || (done % 256 == 0 && told(on, sealing, Step::ReadBack, done, written.places.len()).is_break());
            if same && !stopped { Ok(()) } else { Err("it is not what was written".into()) }
        });
        match read {
            _ if stopped => Ok(None),
            Ok(contents) if done == written.places.len() => Ok(Some(contents)),
            Ok(_) => Err(Error::Volume { path: path.to_path_buf(), what: "came back from the disk cut off".into() }),
            Err(what) => Err(trouble.unwrap_or_else(|| Error::Volume {
                path: path.to_path_buf(),
                what: format!("came back from the disk changed ({what}); nothing was sealed"),
            })),
        }
    }

    /// Gives the file its name and enters it in the ledger; from here on its versions are read from there.
    fn enter(&mut self, name: VolumeName, written: Written, contents: Contents, sealing: &Sealing) -> Result<()> {
        let named = self.give_name(name, written, contents, sealing)?;
        self.transaction(|transaction, _| enter(transaction, &named).map(drop))
    }

    /// Gives a file and its manifest their names, of which the table `volume` has to know before.
    fn give_name(
        &mut self,
        name: VolumeName,
        written: Written,
        contents: Contents,
        sealing: &Sealing,
    ) -> Result<Rewritten> {
        let folder = name.folder(&self.folder);
        let path = folder.join(name.file());
        let failed = |error| disk(&path, error);
        let (bytes, sha256) = check::hash(written.file.as_file()).map_err(failed)?;
        let manifest = Manifest {
            format: ledger::FORMAT,
            month: sealing.month,
            file: name.file(),
            bytes,
            sha256: sha256.to_string(),
            contents,
            level: sealing.level,
            sealed: sealing.now,
            program: concat!("callvault ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        let mut manifest_file = temporary(&folder).map_err(failed)?;
        manifest_file.write_all(&text).and_then(|()| make_final(manifest_file.as_file())).map_err(failed)?;

        let volume_id = self
            .connection
            .prepare_cached(
                "INSERT INTO volume (month, n, bytes, sha256, manifest_sha256) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .insert(params![name.month.to_string(), name.n, integer(bytes), sha256.0, Sha256::of(&text).0])?;
        manifest_file.persist_noclobber(folder.join(name.manifest())).map_err(|error| failed(error.error))?;
        written.file.persist_noclobber(&path).map_err(|error| failed(error.error))?;
        sync_folder(&folder).map_err(failed)?;

        let entry = Entry::Sealed {
            file: name.inside(),
            versions: manifest.contents.versions,
            raw_bytes: manifest.contents.raw_bytes,
            bytes,
            sha256: manifest.sha256.clone(),
            manifest: Sha256::of(&text).to_string(),
            sealed: sealing.now,
        };
        Ok(Rewritten { volume_id, places: written.places, contents: manifest.contents, entry })
    }
}

/// Enters a file, in the caller's transaction.
fn enter(transaction: &Connection, named: &Rewritten) -> Result<Seq> {
    let seq = ledger::append(transaction, &named.entry)?;
    transaction.execute("UPDATE volume SET seq = ?2 WHERE volume_id = ?1", params![named.volume_id, seq.0])?;
    note_kinds(transaction, named.volume_id, &named.contents)?;
    named.places.iter().try_for_each(|place| note_place(transaction, named.volume_id, place))?;
    Ok(seq)
}

/// Enters a file that takes the place of another, whose places are forgotten already; its versions have no frames.
pub(crate) fn enter_rewritten(transaction: &Connection, named: &Rewritten) -> Result<()> {
    enter(transaction, named)?;
    let has_frames = "SELECT EXISTS (SELECT 1 FROM sealed CROSS JOIN version ON version.seq = sealed.seq
        WHERE sealed.volume_id = ?1 AND version.frame IS NOT NULL)";
    if !transaction.query_row(has_frames, [named.volume_id], |row| row.get::<_, bool>(0))? {
        transaction.execute("UPDATE volume SET emptied = 1 WHERE volume_id = ?1", [named.volume_id])?;
    }
    Ok(())
}

/// How many of `choices` go into a frame: at least one.
fn versions_of_a_frame(choices: &[Choice]) -> usize {
    let mut bytes = 0;
    let fits = |choice: &&Choice| {
        bytes += choice.raw_bytes;
        bytes <= FRAME_BYTES
    };
    choices.iter().take_while(fits).count().max(1)
}

/// Whether what was read back of a version is what its frame in the database holds, and where it should be.
fn is_same(
    (seq, place): &(Seq, Place),
    found: &check::Found,
    version: &Lines,
    frames: &mut VersionReader<'_>,
) -> Result<bool> {
    let is_there = found.frame_from == place.frame_from
        && found.frame_bytes as usize == place.frame_bytes
        && (found.lines_from, found.lines_bytes) == (place.lines_from, place.lines_bytes);
    let in_frame = frames.bodies(*seq)?;
    Ok(is_there
        && version.seq == *seq
        && version.key == in_frame.info.key
        && version.version == in_frame.info.version
        && version.parts == in_frame.parts
        && version.parts_sha256 == in_frame.parts_sha256)
}

fn note_kinds(connection: &Connection, volume_id: i64, contents: &Contents) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO volume_kind VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (name, amount) in &contents.kinds {
        let Some(kind) = Kind::of_name(name) else { continue };
        let [records, versions, raw_bytes] = [amount.records, amount.versions, amount.raw_bytes].map(integer);
        insert.execute(params![volume_id, kind_code(kind), records, versions, raw_bytes])?;
    }
    Ok(())
}

fn note_place(connection: &Connection, volume_id: i64, (seq, place): &(Seq, Place)) -> Result<()> {
    let sizes =
        [place.frame_from, place.frame_bytes as u64, place.lines_from as u64, place.lines_bytes as u64].map(integer);
    connection
        .prepare_cached("INSERT INTO sealed VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![seq.0, volume_id, sizes[0], sizes[1], sizes[2], sizes[3]])?;
    Ok(())
}

fn told(on: &mut OnProgress<'_>, sealing: &Sealing, step: Step, done: usize, total: usize) -> ControlFlow<()> {
    on(Progress { month: sealing.month, step, done: done as u64, total: total as u64 })
}

fn make_folder(folder: &Folder, name: VolumeName) -> Result<()> {
    let path = name.folder(folder);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
    let synced = made.and_then(|()| sync_folder(folder.path())).and_then(|()| sync_folder(&folder.sealed()));
    synced.map_err(|error| disk(&path, error))
}

fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)
}

/// Nobody changes it from here on, and it is on disk.
fn make_final(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o400))?;
    file.sync_all()
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(disk(path, error)),
        _ => Ok(()),
    }
}

pub(super) fn disk(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::Io { path: path.to_path_buf(), source },
    }
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
