//! Reads versions out of sealed files: one read and, for the first of a frame, no more decompressing than it takes to get there.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fs::File,
    io::{self, ErrorKind},
};

use rusqlite::Row;

use crate::{
    archive::{
        error::{Error, Result},
        folder::Folder,
        sealed::{VolumeName, seekable::OpenFrame, table},
    },
    model::line::{self, Pieces},
};

/// Frames that stay decompressed: whoever reads by start needs one, and one more where versions of a record are of other days.
const FRAMES_KEPT: usize = 2;

/// Where the lines of a version are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) volume: VolumeName,
    pub(crate) frame_from: u64,
    pub(crate) frame_bytes: usize,
    pub(crate) lines_from: usize,
    pub(crate) lines_bytes: usize,
}

impl Place {
    /// Of the columns month, n, frame_from, frame_bytes, lines_from, lines_bytes, from `first` on; `None` where they are null.
    pub(crate) fn of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Self>> {
        let Some(volume) = table::name(row, first)? else { return Ok(None) };
        let size = |n: usize| Ok::<_, rusqlite::Error>(usize::try_from(row.get::<_, i64>(first + n)?).unwrap_or(0));
        let frame_from = row.get::<_, i64>(first + 2)?.unsigned_abs();
        Ok(Some(Self { volume, frame_from, frame_bytes: size(3)?, lines_from: size(4)?, lines_bytes: size(5)? }))
    }
}

/// Open files and the frames read last.
pub(crate) struct SealedReader {
    folder: Folder,
    files: HashMap<VolumeName, File>,
    /// The one used last at the end.
    frames: VecDeque<((VolumeName, u64), OpenFrame)>,
}

impl SealedReader {
    pub(crate) fn new(folder: Folder) -> Self {
        Self { folder, files: HashMap::new(), frames: VecDeque::new() }
    }

    /// The lines at a place; the inner error says what is wrong with them.
    ///
    /// # Errors
    /// [`Error::Volume`] when the file is not there or cannot be read.
    pub(crate) fn lines(&mut self, place: &Place) -> Result<std::result::Result<Pieces<'_>, String>> {
        let in_file = |what: String| format!("in {}: {what}", place.volume.inside());
        let piece = match self.frame(place)?.piece(place.lines_from, place.lines_bytes) {
            Ok(piece) => piece,
            Err(error) => return Ok(Err(in_file(format!("its frame is damaged: {error}")))),
        };
        Ok(line::pieces(piece).map_err(in_file))
    }

    fn frame(&mut self, place: &Place) -> Result<&mut OpenFrame> {
        let key = (place.volume, place.frame_from);
        let frame = match self.frames.iter().position(|(of, _)| *of == key) {
            Some(at) => self.frames.remove(at),
            None => Some((key, self.read(place)?)),
        };
        self.frames.extend(frame);
        let unreadable = || Error::Volume { path: place.volume.path(&self.folder), what: "cannot be read".into() };
        self.frames.back_mut().map(|(_, frame)| frame).ok_or_else(unreadable)
    }

    fn read(&mut self, place: &Place) -> Result<OpenFrame> {
        let path = place.volume.path(&self.folder);
        let file = match self.files.entry(place.volume) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(File::open(&path).map_err(|error| unopened(&path, error))?),
        };
        let damaged = |error: io::Error| Error::Volume { path, what: format!("is damaged: {error}") };
        let oldest = if self.frames.len() < FRAMES_KEPT { None } else { self.frames.pop_front() };
        let spare = oldest.map_or_else(Vec::new, |(_, frame)| frame.into_spare());
        OpenFrame::read(file, place.frame_from, place.frame_bytes, spare).map_err(damaged)
    }
}

/// What it means that a file of sealed bodies cannot be opened.
pub(crate) fn unopened(path: &std::path::Path, source: io::Error) -> Error {
    let path = path.to_path_buf();
    match source.kind() {
        ErrorKind::NotFound => Error::Volume { path, what: "is missing".into() },
        _ => Error::Io { path, source },
    }
}
