//! The files of an index against the checksums at their ends, read piece by piece: tantivy would map each whole, and an index of
//! years is larger than what an examination may take.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use tantivy::directory::footer::Footer;

use crate::search::{
    error::{Doing, Result},
    folder::segment_files,
};

const PIECE_BYTES: usize = 64 << 10;
/// What ends each file: the length of its footer and a number that is always the same, 32 bits each.
const END_BYTES: u64 = 8;
const MAGIC: u32 = 1337;

/// The names of the files of `index`, which lies in `dir`, that are not as they were written.
pub(super) fn damaged(index: &tantivy::Index, dir: &Path) -> Result<Vec<String>> {
    let mut damaged = Vec::new();
    for name in segment_files(index)? {
        if !is_whole(&dir.join(&name)).doing("read it against its checksums")? {
            damaged.push(name.display().to_string());
        }
    }
    Ok(damaged)
}

fn is_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let Some((footer, body_bytes)) = footer(&mut file, bytes)? else { return Ok(false) };
    file.rewind()?;
    let mut body = file.take(body_bytes);
    let mut hasher = crc32fast::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match body.read(&mut piece)? {
            0 => return Ok(hasher.finalize() == footer.crc),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// The footer, and how long what comes before it is; `None` where there is none.
fn footer(file: &mut File, bytes: u64) -> io::Result<Option<(Footer, u64)>> {
    let Some(end) = bytes.checked_sub(END_BYTES) else { return Ok(None) };
    let mut numbers = [[0; 4]; 2];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(numbers.as_flattened_mut())?;
    let [footer_bytes, magic] = numbers.map(u32::from_le_bytes);
    let Some(begin) = end.checked_sub(footer_bytes.into()).filter(|_| magic == MAGIC) else { return Ok(None) };
    file.seek(SeekFrom::Start(begin))?;
    let footer = serde_json::from_reader(file.take(footer_bytes.into()));
    Ok(footer.ok().map(|footer| (footer, begin)))
}
