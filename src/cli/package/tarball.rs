//! A folder as one stream (tar, in its form `ustar`): the same bytes for the same files. And such a stream unpacked, whoever made it.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use tar::{Archive, Builder, EntryType, Header};

/// Bytes that a folder's name may have: `ustar` has 155 for the folders of a path.
pub(super) const NAME_BYTES_MAX: usize = 100;

/// Writes the files of `folder`, in the order of their paths, as files of a folder `name`. Of files nothing is told but name and content:
/// times and owners are 0, modes 0600. A file of 8 GiB and more has its size in the way of GNU and BSD tar.
pub(super) fn write(folder: &Path, name: &Path, out: impl Write) -> io::Result<()> {
    let mut files = Vec::new();
    list(folder, name, &mut files)?;
    files.sort();
    let mut builder = Builder::new(out);
    for (path, source) in files {
        let file = File::open(source)?;
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_path(path)?;
        header.set_size(file.metadata()?.len());
        header.set_mode(0o600);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        builder.append(&header, file)?;
    }
    builder.into_inner()?.flush()
}

/// All files of `folder`: the path that each is to have, and where it is.
fn list(folder: &Path, name: &Path, files: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = name.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &path, files)?;
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}

/// Why a stream could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The stream ends, fails, or is no tar.
    #[error("it is no whole tar archive: {0}")]
    Stream(io::Error),
    /// It has what no package has.
    #[error("{0}")]
    Foreign(String),
    #[error("{}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
}

/// Unpacks `stream` into the empty folder `into`. Files and folders alone, none outside of it, none twice; the stream is read to its end.
pub(super) fn unpack(stream: impl Read, into: &Path) -> Result<(), Fault> {
    let mut archive = Archive::new(stream);
    for entry in archive.entries().map_err(Fault::Stream)? {
        let mut entry = entry.map_err(Fault::Stream)?;
        let path = entry.path().map_err(Fault::Stream)?.into_owned();
        let foreign = |what: &str| Fault::Foreign(format!("{}: {what}", path.display()));
        if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(foreign("it leads out of the package"));
        }
        match entry.header().entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular => {}
            _ => return Err(foreign("it is neither file nor folder")),
        }
        let target = into.join(&path);
        let at_disk = |source| Fault::Disk { path: target.clone(), source };
        let folder = target.parent().unwrap_or(into);
        let made = fs::create_dir_all(folder).and_then(|()| File::create_new(&target));
        let mut file = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => foreign("it is there twice"),
            _ => at_disk(error),
        })?;
        let bytes = entry.size();
        if copy(&mut entry, &mut file, &at_disk)? != bytes {
            return Err(Fault::Stream(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    // To the very end: only there the stream says whether all of it was whole. Archives are filled up with zeros.
    let mut rest = archive.into_inner();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match read(&mut rest, &mut buffer)? {
            0 => return Ok(()),
            n if buffer[..n].iter().all(|byte| *byte == 0) => {}
            _ => return Err(Fault::Foreign("something follows the end of the tar archive".to_owned())),
        }
    }
}

fn copy(from: &mut impl Read, to: &mut File, at_disk: &dyn Fn(io::Error) -> Fault) -> Result<u64, Fault> {
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let n = read(from, &mut buffer)?;
        if n == 0 {
            return Ok(bytes);
        }
        to.write_all(&buffer[..n]).map_err(at_disk)?;
        bytes += n as u64;
    }
}

fn read(from: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Fault> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map_err(Fault::Stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar archive of these entries, whatever they are called.
    fn forged(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = Header::new_ustar();
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_link_name("/etc/passwd").unwrap();
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(stream: &[u8]) -> Result<Vec<(PathBuf, PathBuf)>, String> {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("a");
        fs::create_dir(&into).unwrap();
        let done = unpack(stream, &into);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing gets out");
        done.map_err(|fault| fault.to_string())?;
        let mut files = Vec::new();
        list(&into, Path::new(""), &mut files).unwrap();
        files.sort();
        Ok(files)
    }

    #[test]
    fn the_same_files_are_the_same_bytes_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut streams = Vec::new();
        for (name, order) in [("a", ["z", "data/long", "data/b"]), ("b", ["data/b", "z", "data/long"])] {
            let folder = dir.path().join(name);
            fs::create_dir_all(folder.join("data")).unwrap();
            for path in order {
                let content = if path.ends_with("long") { vec![b'x'; 200_000] } else { path.into() };
                File::create(folder.join(path)).unwrap().write_all(&content).unwrap();
            }
            let mut stream = Vec::new();
            write(&folder, Path::new(&"n".repeat(NAME_BYTES_MAX)), &mut stream).unwrap();
            streams.push(stream);
        }
        assert_eq!(streams[0], streams[1]);
        let mut archive = Archive::new(&streams[0][..]);
        for entry in archive.entries().unwrap() {
            let header = entry.unwrap().header().clone();
            let facts = (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap());
            assert_eq!(facts, (0, 0, 0, 0o600));
            assert!(header.as_ustar().is_some());
        }
        let names: Vec<_> = unpacked(&streams[0]).unwrap().into_iter().map(|(path, _)| path).collect();
        let at = |path: &str| Path::new(&"n".repeat(NAME_BYTES_MAX)).join(path);
        assert_eq!(names, [at("data/b"), at("data/long"), at("z")]);
    }

    #[test]
    fn what_no_package_has_is_not_unpacked() {
        let file = EntryType::Regular;
        assert_eq!(unpacked(&forged(&[("./d/", EntryType::Directory, b""), ("./d/f", file, b"f")])).unwrap().len(), 1);
        let outside = |path| unpacked(&forged(&[(path, file, b"x")])).unwrap_err();
        for path in ["../b", "/tmp/callvault-b", "a/../../b", "./../b"] {
            assert!(outside(path).contains("leads out"), "{path}");
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char, EntryType::GNUSparse] {
            assert!(unpacked(&forged(&[("f", kind, b"")])).is_err(), "{kind:?}");
        }
        assert!(unpacked(&forged(&[("f", file, b"1"), ("./f", file, b"2")])).unwrap_err().contains("twice"));
        assert!(unpacked(&forged(&[("f", file, b"1"), ("f/g", file, b"2")])).unwrap_err().contains("twice"));
        let whole = forged(&[("f", file, &[7; 5000])]);
        for end in [100, 600, 5000] {
            assert!(unpacked(&whole[..end]).is_err(), "cut off at {end}");
        }
        assert!(unpacked(&[whole, b"more".to_vec()].concat()).unwrap_err().contains("follows"));
    }
}
