//! zstd's seekable format: frames that are decompressed each alone, and at the end of the file a table of them in a frame that
//! decompressors skip (zstd, contrib/seekable_format, version 0.1.0). The file is a zstd file like any other.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
};

use zstd::{
    bulk::Compressor,
    stream::raw::{Decoder, InBuffer, Operation, OutBuffer},
    zstd_safe::{self, CParameter, get_frame_content_size},
};

const SKIPPABLE: u32 = 0x184D_2A5E;
const SEEKABLE: u32 = 0x8F92_EAB1;
/// The table has a checksum of each frame.
const WITH_CHECKSUMS: u8 = 0x80;
const FOOTER_BYTES: u64 = 9;
const ENTRY_BYTES: u64 = 12;
const HEADER_BYTES: u64 = 8;
/// Matches are looked for this far back, in bytes as a power of two: in a whole frame, and decompressors need no more memory.
const WINDOW_LOG: u32 = 23;
/// So much of lines goes into a frame before the next begins (docs/decisions/0009). A larger version has a frame of its own.
pub(super) const FRAME_BYTES: usize = 4 << 20;
/// No frame claims to be larger than this; a meeting of 1,000 people is about 10 MB.
const CONTENT_BYTES_MAX: u64 = 1 << 30;

/// A frame of a file, as the table at its end has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it begins in the file.
    pub(crate) from: u64,
    /// Compressed.
    pub(crate) bytes: u32,
    pub(crate) content_bytes: u32,
    /// Of its content: the low half of XXH64, which zstd puts at the end of a frame too.
    checksum: u32,
}

/// Writes frames and, at the end, their table.
pub(crate) struct SeekableWriter<W> {
    out: W,
    compressor: Compressor<'static>,
    entries: Vec<Entry>,
    at: u64,
}

impl<W: Write> SeekableWriter<W> {
    pub(crate) fn new(out: W, level: i32) -> io::Result<Self> {
        let mut compressor = Compressor::new(level)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        Ok(Self { out, compressor, entries: Vec::new(), at: 0 })
    }

    /// Compresses `content` into a frame of its own.
    pub(crate) fn frame(&mut self, content: &[u8]) -> io::Result<Entry> {
        let frame = self.compressor.compress(content)?;
        self.out.write_all(&frame)?;
        let too_long = |_| io::Error::other("a frame is longer than the format allows");
        let checksum = frame.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let entry = Entry {
            from: self.at,
            bytes: u32::try_from(frame.len()).map_err(too_long)?,
            content_bytes: u32::try_from(content.len()).map_err(too_long)?,
            checksum,
        };
        self.at += u64::from(entry.bytes);
        self.entries.push(entry);
        Ok(entry)
    }

    /// Writes the table and gives back what was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let table = table(&self.entries)?;
        self.out.write_all(&table)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn table(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let too_many = |_| io::Error::other("there are more frames than the format allows");
    let count = u32::try_from(entries.len()).map_err(too_many)?;
    let length = u32::try_from(entries.len() as u64 * ENTRY_BYTES + FOOTER_BYTES).map_err(too_many)?;
    let mut table = Vec::new();
    for word in [SKIPPABLE, length] {
        table.extend_from_slice(&word.to_le_bytes());
    }
    for entry in entries {
        for word in [entry.bytes, entry.content_bytes, entry.checksum] {
            table.extend_from_slice(&word.to_le_bytes());
        }
    }
    table.extend_from_slice(&count.to_le_bytes());
    table.push(WITH_CHECKSUMS);
    table.extend_from_slice(&SEEKABLE.to_le_bytes());
    Ok(table)
}

/// Reads the table at the end of a file.
///
/// # Errors
/// A fragment that says what is wrong with the file.
pub(crate) fn read_table(file: &File) -> Result<Vec<Entry>, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let no_table = || "it does not end with the table of its frames".to_owned();
    let bytes = file.metadata().map_err(unreadable)?.len();
    let at_end = |length: u64| -> Result<Vec<u8>, String> {
        let from = bytes.checked_sub(length).ok_or_else(no_table)?;
        let mut read = vec![0; usize::try_from(length).map_err(|_| no_table())?];
        file.read_exact_at(&mut read, from).map_err(unreadable)?;
        Ok(read)
    };
    let footer = at_end(FOOTER_BYTES)?;
    if word(&footer, 5) != SEEKABLE || footer[4] != WITH_CHECKSUMS {
        return Err(no_table());
    }
    let length = u64::from(word(&footer, 0)) * ENTRY_BYTES + FOOTER_BYTES;
    let table = at_end(HEADER_BYTES + length)?;
    if word(&table, 0) != SKIPPABLE || u64::from(word(&table, 4)) != length {
        return Err(no_table());
    }
    let mut from = 0;
    let mut entries = Vec::new();
    for entry in table[8..table.len() - 9].chunks_exact(12) {
        let entry = Entry { from, bytes: word(entry, 0), content_bytes: word(entry, 4), checksum: word(entry, 8) };
        from += u64::from(entry.bytes);
        entries.push(entry);
    }
    if from + HEADER_BYTES + length != bytes {
        return Err("it is longer or shorter than its frames together".into());
    }
    Ok(entries)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// A frame that is decompressed as far as it was asked for.
pub(crate) struct OpenFrame {
    /// Compressed; nothing once all is decompressed, like the decoder.
    input: Vec<u8>,
    read: usize,
    decoder: Option<Decoder<'static>>,
    content: Vec<u8>,
    /// So much of `content` is there.
    ready: usize,
}

impl OpenFrame {
    /// Reads a frame, still compressed; `spare` is memory that another has given back.
    pub(crate) fn read(file: &File, from: u64, bytes: usize, spare: Vec<u8>) -> io::Result<Self> {
        let mut input = vec![0; bytes];
        file.read_exact_at(&mut input, from)?;
        let claimed = get_frame_content_size(&input).ok().flatten().filter(|bytes| *bytes <= CONTENT_BYTES_MAX);
        let claimed = claimed.ok_or_else(|| io::Error::other("there is no frame where one should be"))?;
        let length = usize::try_from(claimed).unwrap_or(0);
        let mut content = spare;
        if content.capacity() < length {
            // Memory that the system gives as zeros costs nothing where nobody looks: of one record that is all behind it. A vector that
            // grows would take twice what it needs; most frames that follow fit into this one.
            content = vec![0; length.max(FRAME_BYTES)];
        }
        content.resize(length, 0);
        Ok(Self { input, read: 0, decoder: Some(Decoder::new()?), content, ready: 0 })
    }

    /// Whether it is, by length and checksum, the frame that the table has. That its content is what its own checksum says, zstd sees to.
    pub(crate) fn is(&self, entry: &Entry) -> bool {
        self.content.len() == entry.content_bytes as usize
            && self.input.last_chunk() == Some(&entry.checksum.to_le_bytes())
    }

    /// Gives its memory back, for the next one; that of a record of many megabytes is not kept.
    pub(crate) fn into_spare(self) -> Vec<u8> {
        if self.content.capacity() > 2 * FRAME_BYTES { Vec::new() } else { self.content }
    }

    /// All that it holds.
    pub(crate) fn whole(&mut self) -> io::Result<&[u8]> {
        if self.decoder.is_some() {
            // In one go it needs no window beside its content, which is as large again; the first piece comes a second time.
            let written = zstd_safe::decompress(&mut self.content[..], &self.input)
                .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
            if written < self.content.len() {
                return Err(cut_off());
            }
            (self.decoder, self.input, self.ready) = (None, Vec::new(), written);
        }
        Ok(&self.content)
    }

    /// A piece of its content. The first piece costs what stands before it; whoever asks for a second one reads on, and gets the rest in one go.
    pub(crate) fn piece(&mut self, from: usize, bytes: usize) -> io::Result<&[u8]> {
        let to = from.checked_add(bytes).filter(|to| *to <= self.content.len());
        let to = to.ok_or_else(|| io::Error::other("the frame is shorter than it should be"))?;
        // What stands before a damaged place can still be had.
        let is_first = self.ready == 0 && to < self.content.len();
        if to > self.ready && (is_first || self.whole().is_err()) {
            self.decompress(to)?;
        }
        Ok(&self.content[from..to])
    }

    fn decompress(&mut self, to: usize) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let mut input = InBuffer::around(&self.input);
        input.set_pos(self.read);
        // At the end zstd compares its checksum, for which there is nothing more to write.
        while self.ready < to || (to == self.content.len() && input.pos() < self.input.len()) {
            let before = input.pos();
            let mut output = OutBuffer::around(&mut self.content[self.ready..to]);
            decoder.run(&mut input, &mut output)?;
            let written = output.pos();
            if written == 0 && input.pos() == before {
                return Err(cut_off());
            }
            self.ready += written;
        }
        self.read = input.pos();
        Ok(())
    }
}

fn cut_off() -> io::Error {
    io::Error::other("the frame is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(n: usize) -> Vec<u8> {
        (0..n).map(|at| u8::try_from(at * at % 251).unwrap_or(0)).collect()
    }

    fn file(contents: &[Vec<u8>]) -> (tempfile::NamedTempFile, Vec<Entry>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = SeekableWriter::new(file, 3).unwrap();
        let entries = contents.iter().map(|content| writer.frame(content).unwrap()).collect();
        (writer.finish().unwrap(), entries)
    }

    #[test]
    fn the_table_tells_where_each_frame_is_and_the_whole_is_a_zstd_file() {
        let contents = [content(10), content(300_000), content(1)];
        let (file, entries) = file(&contents);
        assert_eq!(read_table(file.as_file()).unwrap(), entries);
        let bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(zstd::stream::decode_all(&bytes[..]).unwrap(), contents.concat());
        for (entry, content) in entries.iter().zip(&contents) {
            let mut frame = OpenFrame::read(file.as_file(), entry.from, entry.bytes as usize, Vec::new()).unwrap();
            assert_eq!(frame.whole().unwrap(), content);
        }
    }

    #[test]
    fn pieces_come_in_any_order_and_only_what_is_needed_is_decompressed() {
        let whole = content(1 << 20);
        let (file, entries) = file(std::slice::from_ref(&whole));
        let mut frame = OpenFrame::read(file.as_file(), 0, entries[0].bytes as usize, Vec::new()).unwrap();
        assert_eq!(frame.piece(300, 40).unwrap(), &whole[300..340]);
        assert_eq!(frame.ready, 340);
        assert_eq!(frame.piece(100, 40).unwrap(), &whole[100..140]);
        assert_eq!(frame.ready, 340);
        assert_eq!(frame.piece(5000, 40).unwrap(), &whole[5000..5040]);
        assert_eq!(frame.ready, whole.len());
        assert!(frame.piece(whole.len() - 1, 2).is_err());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a damaged file is what is wanted")]
    fn what_stands_before_a_damaged_place_can_be_had() {
        let dice = |n: u64| u8::try_from((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 251).unwrap_or(0);
        let whole: Vec<u8> = (0..1_u64 << 20).map(dice).collect();
        let (file, entries) = file(std::slice::from_ref(&whole));
        let bytes = usize::try_from(entries[0].bytes).unwrap();
        let mut damaged = std::fs::read(file.path()).unwrap();
        damaged.truncate(bytes - bytes / 4);
        damaged.resize(bytes, 0);
        std::fs::write(file.path(), &damaged).unwrap();
        let mut frame = OpenFrame::read(&File::open(file.path()).unwrap(), 0, bytes, Vec::new()).unwrap();
        for from in [0, 1000, 300_000, 200_000] {
            assert_eq!(frame.piece(from, 500).unwrap(), &whole[from..from + 500], "{from}");
        }
        assert!(frame.piece(whole.len() - 10, 10).is_err());
        assert!(frame.whole().is_err());
        assert_eq!(frame.piece(300_000, 500).unwrap(), &whole[300_000..300_500]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a damaged file is what is wanted")]
    fn a_file_that_is_cut_or_changed_is_refused() {
        let (file, entries) = file(&[content(50_000), content(60_000)]);
        let bytes = std::fs::read(file.path()).unwrap();
        for length in [0, 5, 9, 40, bytes.len() - 1] {
            std::fs::write(file.path(), &bytes[..length]).unwrap();
            assert!(read_table(&File::open(file.path()).unwrap()).is_err(), "{length}");
        }
        for at in 0..usize::try_from(entries[1].from).unwrap() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(file.path(), &changed).unwrap();
            let file = File::open(file.path()).unwrap();
            let frame = OpenFrame::read(&file, 0, entries[0].bytes as usize, Vec::new());
            let same =
                frame.and_then(|mut frame| frame.whole().map(<[u8]>::to_vec)).is_ok_and(|read| read != content(50_000));
            assert!(!same, "byte {at}");
        }
    }
}
