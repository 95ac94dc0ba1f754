//! What reads frames, for [`crate::fuzzing`]: it panics when a promise is broken.

use crate::{
    archive::frame::{Dictionary, FrameReader, FrameWriter},
    model::id::Sha256,
};

/// No frame that anybody makes here is larger.
const CONTENT_BYTES_MAX: u64 = 1 << 20;

/// A frame of the archive, as it stands or to be compressed first: it is refused, or gives bodies that make the same frame.
pub(crate) fn frame(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let dictionary = (first & 2 != 0).then(|| Dictionary::new(include_bytes!("base.dict").to_vec())).flatten();
    let compressed = if first & 1 != 0 { zstd::bulk::compress(data, 1).unwrap_or_default() } else { data.to_vec() };
    if zstd::zstd_safe::get_frame_content_size(&compressed).is_ok_and(|size| size > Some(CONTENT_BYTES_MAX)) {
        return;
    }
    let mut reader = FrameReader::new(dictionary.as_ref()).expect("a reader");
    let Ok((parts, _)) = reader.read(&compressed) else { return };
    assert!(parts.iter().all(|part| part.sha256 == Sha256::of(&part.body)), "a body is not its hash");
    let written = FrameWriter::new(dictionary.as_ref()).and_then(|mut writer| writer.write(&parts)).expect("a frame");
    let (again, _) = reader.read(&written.bytes).expect("what was written can be read");
    assert_eq!(again, parts);
}
