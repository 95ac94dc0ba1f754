//! A ZIP file written from its beginning to its end, without ever going back: what a pipe takes.
//!
//! Sizes and checksums stand behind each entry (a data descriptor) and in the directory at the end. Without the 64-bit extension,
//! which not every reader of spreadsheets knows: an entry, and the whole file, stays below 4 GiB.

use std::{
    io::{self, Write},
    mem,
};

use flate2::{Compression, Crc, write::DeflateEncoder};

/// Needed to extract: 2.0, which has deflate.
const VERSION: u16 = 20;
/// Sizes follow behind; names are UTF-8.
const FLAGS: u16 = (1 << 3) | (1 << 11);
const DEFLATE: u16 = 8;
/// The first of January 1980, midnight, the earliest that there is: the same content gives the same file.
const TIME_AND_DATE: u32 = ((1 << 5) | 1) << 16;

pub(super) struct Zip<W: Write> {
    out: W,
    written: u64,
    closed: Vec<Entry>,
    open: Option<Open>,
}

/// An entry whose content is all written.
struct Entry {
    name: String,
    offset: u32,
    sums: Sums,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    crc: u32,
    compressed_bytes: u32,
    bytes: u32,
}

struct Open {
    name: String,
    offset: u32,
    crc: Crc,
    /// Into memory, which goes out as it fills.
    encoder: DeflateEncoder<Vec<u8>>,
    began: u64,
    bytes: u64,
}

impl<W: Write> Zip<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, written: 0, closed: Vec::new(), open: None }
    }

    /// Ends the entry that is open and begins another.
    pub(super) fn begin(&mut self, name: &str) -> io::Result<()> {
        self.end()?;
        let offset = below_4_gib(self.written)?;
        let mut header = 0x0403_4b50_u32.to_le_bytes().to_vec();
        header.extend(described(name, Sums::default())?);
        header.extend(name.as_bytes());
        self.put(&header)?;
        let encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        self.open = Some(Open { name: name.into(), offset, crc: Crc::new(), encoder, began: self.written, bytes: 0 });
        Ok(())
    }

    /// Writes content of the entry that is open.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::InvalidInput.into()) };
        open.crc.update(content);
        open.bytes += content.len() as u64;
        open.encoder.write_all(content)?;
        let compressed = mem::take(open.encoder.get_mut());
        self.put(&compressed)
    }

    /// Ends the last entry, and the file with its directory.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end()?;
        let mut directory = Vec::new();
        for Entry { name, offset, sums } in &self.closed {
            directory.extend(0x0201_4b50_u32.to_le_bytes());
            directory.extend(VERSION.to_le_bytes()); // made by
            directory.extend(described(name, *sums)?);
            directory.extend([0; 10]); // no comment, disk 0, no attributes
            directory.extend(offset.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let begins = below_4_gib(self.written)?;
        let bytes = below_4_gib(directory.len() as u64)?;
        let count = u16::try_from(self.closed.len()).map_err(|_| too_large())?;
        directory.extend(0x0605_4b50_u32.to_le_bytes());
        directory.extend([0; 4]); // disk 0
        directory.extend(count.to_le_bytes());
        directory.extend(count.to_le_bytes());
        directory.extend(bytes.to_le_bytes());
        directory.extend(begins.to_le_bytes());
        directory.extend([0; 2]); // no comment
        self.put(&directory)?;
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        self.put(&open.encoder.finish()?)?;
        let sums = Sums {
            crc: open.crc.sum(),
            compressed_bytes: below_4_gib(self.written - open.began)?,
            bytes: below_4_gib(open.bytes)?,
        };
        let mut descriptor = 0x0807_4b50_u32.to_le_bytes().to_vec();
        descriptor.extend(sums.as_bytes());
        self.put(&descriptor)?;
        self.closed.push(Entry { name: open.name, offset: open.offset, sums });
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl Sums {
    fn as_bytes(self) -> impl Iterator<Item = u8> {
        [self.crc, self.compressed_bytes, self.bytes].into_iter().flat_map(u32::to_le_bytes)
    }
}

/// What an entry's header and its line in the directory have in common, from the version to the length of the extra field.
fn described(name: &str, sums: Sums) -> io::Result<Vec<u8>> {
    let name_bytes = u16::try_from(name.len()).map_err(|_| too_large())?;
    let mut bytes: Vec<u8> = [VERSION, FLAGS, DEFLATE].into_iter().flat_map(u16::to_le_bytes).collect();
    bytes.extend(TIME_AND_DATE.to_le_bytes());
    bytes.extend(sums.as_bytes());
    bytes.extend(name_bytes.to_le_bytes());
    bytes.extend([0; 2]);
    Ok(bytes)
}

fn below_4_gib(bytes: u64) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| too_large())
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "a workbook holds at most 4 GiB: narrow the selection, or export parquet or csv",
    )
}
